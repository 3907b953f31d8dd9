"""Clients of a few-shot model exported by ml_lstm and served by TensorFlow Serving: `RestClient`, `GrpcClient`."""

from ml_lstm_client.client import Answer, Client, ServingError
from ml_lstm_client.rest_client import RestClient

__all__ = ["Answer", "Client", "RestClient", "ServingError"]


def __getattr__(name):
    """Imports `GrpcClient` only when it is used, because it imports TensorFlow."""
    if name == "GrpcClient":
        from ml_lstm_client.grpc_client import GrpcClient

        return GrpcClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
