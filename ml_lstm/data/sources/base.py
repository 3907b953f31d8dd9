"""What a data source is: a file here that ends in `SOURCE = Source(...)`, and its line in `__init__.py`."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from ml_lstm.data.pools import ClassPool
from ml_lstm.options import FREE, Weight

Place = Annotated[str | None, FREE]
"""A directory of this machine."""

Memory = Annotated[Weight, FREE]
"""MiB."""


class Source(NamedTuple):
    """Where images can come from.

    Attributes:
        load: from an image size, and options (keyword-only arguments, see `ml_lstm.options`), to the pools `"train"`,
            `"val"` and `"test"`.
        channels: of its images.
        description: what it is, in a line.
        load_all: as `load`, to one pool `"all"`, where that asks less of the data; None: the three are joined.
    """

    load: Callable[..., dict[str, ClassPool]]
    channels: int
    description: str
    load_all: Callable[..., dict[str, ClassPool]] | None = None
