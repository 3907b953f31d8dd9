"""Imports TensorFlow Datasets (TFDS), an optional extra of this package, only when needed: it takes seconds."""

from types import ModuleType

from ml_lstm.data.errors import DataError


def tensorflow_datasets() -> ModuleType:
    """Returns the module `tensorflow_datasets`.

    Raises:
        DataError: if TFDS, or a package that it needs, is not installed.
    """
    try:
        import tensorflow_datasets
    except ModuleNotFoundError as error:
        raise DataError(
            f"{(error.name or 'tensorflow_datasets').partition('.')[0]} is not installed, which is "
            "needed to read these data: pip install 'ml_lstm[data]'."
        ) from None
    return tensorflow_datasets
