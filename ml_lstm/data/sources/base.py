"""The interface of a data source: a file here that ends in `SOURCE = Source(...)`, and its line in `__init__.py`."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from ml_lstm.data.pools import ClassPool
from ml_lstm.options import FREE, Weight

Place = Annotated[str | None, FREE]
"""A directory on this machine."""

Memory = Annotated[Weight, FREE]
"""MiB."""


class Source(NamedTuple):
    """A data source.

    Attributes:
        load: function from an image size and options (keyword-only arguments, see `ml_lstm.options`) to the pools
            `"train"`, `"val"` and `"test"`.
        channels: channels of its images.
        description: one line.
        load_all: like `load`, but gives one pool `"all"`, for data that need not fulfil the requirements of a split.
            None: the three pools of `load` are joined.
    """

    load: Callable[..., dict[str, ClassPool]]
    channels: int
    description: str
    load_all: Callable[..., dict[str, ClassPool]] | None = None
