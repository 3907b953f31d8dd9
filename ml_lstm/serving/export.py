"""Writing a version of a model so that a server sees it whole or not at all."""

import os
import shutil
from pathlib import Path

import tensorflow as tf

from ml_lstm.errors import UserError
from ml_lstm.methods import FewShotClassifier
from ml_lstm.serving.signatures import ServingModule


def export_version(
    method: FewShotClassifier, image_shape: tuple[int, int, int], export_dir: str, model_card: str
) -> Path:
    """Writes `export_dir/<next version>/`, beside it first and then renamed into place.

    Args:
        method: trained.
        image_shape: that it was trained on.
        export_dir: the model's directory, in which TensorFlow Serving looks for versions.
        model_card: text for `assets.extra/model_card.json`.

    Returns:
        The version's directory.

    Raises:
        UserError: if `export_dir` is a file.
    """
    directory = Path(export_dir)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file: give another --export_dir.")
    directory.mkdir(parents=True, exist_ok=True)
    # A server ignores names that are no number.
    temporary = directory / f".writing-{os.getpid()}"
    module = ServingModule(method, image_shape)
    try:
        tf.saved_model.save(module, str(temporary), signatures=module.functions)
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / "model_card.json").write_text(model_card)
        version = max((int(path.name) for path in directory.iterdir() if path.name.isdigit()), default=0) + 1
        os.rename(temporary, directory / str(version))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return directory / str(version)
