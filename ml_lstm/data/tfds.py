"""TensorFlow Datasets (TFDS), an extra of this package: imported where it is needed, as that takes seconds."""

from types import ModuleType

from ml_lstm.data.errors import DataError


def tensorflow_datasets() -> ModuleType:
    """The module.

    Raises:
        DataError: if it, or a package that it needs, is not installed.
    """
    try:
        import tensorflow_datasets
    except ModuleNotFoundError as error:
        raise DataError(
            f"{(error.name or 'tensorflow_datasets').partition('.')[0]} is not installed, without which such data "
            "cannot be read: pip install 'ml_lstm[data]'."
        ) from None
    return tensorflow_datasets
