"""The exported SavedModel: its signatures, its warm-up requests, and how a version comes to be."""

from ml_lstm.serving.export import export_version
from ml_lstm.serving.pictures import MAX_PIXELS
from ml_lstm.serving.signatures import ServingModule

__all__ = ["MAX_PIXELS", "ServingModule", "export_version"]
