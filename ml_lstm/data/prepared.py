"""Finds data sets that TensorFlow Datasets (TFDS) wrote, and reports missing or broken ones."""

import os
import re
import shlex
from pathlib import Path

from absl import logging

from ml_lstm.data.errors import DataError
from ml_lstm.data.tfds import tensorflow_datasets
from ml_lstm.paths import expanded


def root(data_dir: str | None) -> Path:
    """The TFDS directory; for None, TFDS's default, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`."""
    return expanded(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def newest(name: str, data_dir: str | None) -> Path | None:
    """The newest complete `<name>/<version>/` in a TFDS directory; None if there is none."""
    prepared = [info.parent for info in root(data_dir).glob(f"{name}/*/dataset_info.json")]
    versions = [path for path in prepared if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    return max(versions, key=lambda path: [int(number) for number in path.name.split(".")], default=None)


def find(name: str, title: str, data_dir: str | None) -> Path:
    """The newest `<name>/<version>/`, downloaded if the user chose no directory.

    Args:
        name: name of the TFDS builder.
        title: name of the data set, for messages.
        data_dir: TFDS directory. None: the directory of `root`; a missing data set is downloaded there.

    Raises:
        DataError: if the data set is missing, or cannot be downloaded.
    """
    found, place = newest(name, data_dir), root(data_dir)
    if found:
        return found
    if data_dir is not None:
        raise DataError(
            f"No prepared {title} in {str(place)!r} (no {name}/<version>/dataset_info.json there): correct "
            f"--data_dir, or write the data with `tfds build {name} --data_dir={shlex.quote(str(place))}`."
        )
    # Imported only here and where images are decoded: a cached load does not need TFDS.
    tfds = tensorflow_datasets()
    # TFDS retries ten times with growing pauses, which cannot be shortened: warn before the wait.
    logging.warning("Downloading %s to %s; without a network, this takes minutes to fail.", title, place)
    try:
        builder = tfds.builder(name, data_dir=place)
        builder.download_and_prepare()
    except Exception as error:  # TFDS does not catch what requests, urllib3, zipfile and the file system raise.
        raise DataError(
            f"{title} is not in {str(place)!r} and could not be downloaded ({one_line(error)}): connect to "
            f"the network, or give a directory that contains {name}/<version>/ with --data_dir."
        ) from error
    return Path(builder.data_dir)


def broken(directory: Path, title: str, reason: str) -> DataError:
    """The error for a directory `<name>/<version>/` that cannot be read or has unexpected contents."""
    name, place = directory.parent.name, directory.parents[1]
    return DataError(
        f"{title} in {str(directory)!r} is damaged or incomplete ({reason}): delete that directory and write it "
        f"again with `tfds build {name} --data_dir={shlex.quote(str(place))}`, or give another one with --data_dir."
    )


def one_line(error: Exception) -> str:
    """The first line of an error message, without TensorFlow's notes on graph nodes, at most 200 characters."""
    lines = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip().splitlines()
    return (lines[0].strip() if lines else type(error).__name__)[:200]
