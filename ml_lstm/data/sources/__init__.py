"""Data sources: one file each."""

from ml_lstm.data.sources import cifar_fs, cub, folder, glyphs, mini_imagenet, mnist, omniglot
from ml_lstm.data.sources.base import Source

SOURCES = {
    "cifar_fs": cifar_fs.SOURCE,
    "cub": cub.SOURCE,
    "folder": folder.SOURCE,
    "glyphs": glyphs.SOURCE,
    "mini_imagenet": mini_imagenet.SOURCE,
    "mnist": mnist.SOURCE,
    "omniglot": omniglot.SOURCE,
}
"""The values of `--dataset`."""

__all__ = ["SOURCES", "Source"]
