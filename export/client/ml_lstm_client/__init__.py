"""Clients of a few-shot model that ml_lstm exported and TensorFlow Serving serves: `RestClient`, `GrpcClient`."""

from ml_lstm_client.client import Answer, Client, ServingError
from ml_lstm_client.rest_client import RestClient

__all__ = ["Answer", "Client", "RestClient", "ServingError"]


def __getattr__(name):
    """`GrpcClient` is imported when it is asked for, as TensorFlow comes with it."""
    if name == "GrpcClient":
        from ml_lstm_client.grpc_client import GrpcClient

        return GrpcClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
