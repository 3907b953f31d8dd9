"""Reads folders of images as a support set and as queries."""

from collections.abc import Iterator
from pathlib import Path

from ml_lstm_client.folders import visible

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")
"""First bytes of the files that are sent: JPEG, PNG, BMP, GIF."""

NO_PICTURE = "is not a JPEG, PNG, BMP or GIF image."


def class_folders(directory: Path) -> dict[str, list[Path]]:
    """The files `directory`/<class>/*, by class, sorted; hidden ones are ignored."""
    return {entry.name: files(entry) for entry in folders(directory)}


def folders(directory: Path) -> list[Path]:
    """The folders in `directory`, sorted; hidden ones are ignored."""
    return [entry for entry in visible(directory) if entry.is_dir()]


def files(directory: Path) -> list[Path]:
    """The files in `directory`, sorted; hidden ones are ignored."""
    return [entry for entry in visible(directory) if entry.is_file()]


def read_picture(path: Path) -> bytes | None:
    """The bytes of a JPEG, PNG, BMP or GIF; None for a file that begins differently, which is not read further."""
    with open(path, "rb") as file:
        beginning = file.read(max(map(len, BEGINNINGS)))
        return beginning + file.read() if beginning.startswith(BEGINNINGS) else None


def batches(pictures: Iterator[tuple[Path, bytes]], most: int, most_bytes: int) -> Iterator[list[tuple[Path, bytes]]]:
    """Groups images; reads no further than the first image of the next group.

    Args:
        pictures: path and contents of each image.
        most: maximum number of images in a group.
        most_bytes: maximum size of a group, unless it is a single image.
    """
    batch, size = [], 0
    for path, contents in pictures:
        if batch and (len(batch) == most or size + len(contents) > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append((path, contents))
        size += len(contents)
    if batch:
        yield batch
