"""Photographs as a camera makes them, turned and shrunk to what a model will look at, before they are sent to it.

The client, which stands alone, has a copy of this file; `tests/export/copies_test.py` holds them together.
"""

import contextlib
import io
import warnings

from PIL import Image, ImageOps

_AT_LEAST = 2
"""Times a model's side that a picture keeps: a model brings what it is sent to its own size by its own rule."""

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")


def shorter_edge(contents: bytes) -> int:
    """Pixels of a picture file's shorter edge, by its header; 0 for what Pillow does not take for a picture."""
    try:
        with _silent():
            return min(_opened(contents).size)
    except Exception:  # Pillow reports damage by nearly any type
        return 0


def fitted(contents: bytes, side: int) -> bytes:
    """A picture file as it is to be sent: turned as its EXIF data say and shrunk, if it is far larger than needed.

    It is shrunk by averages over whole pixels, as the model does itself, to an edge of at least twice `side`, so that
    the model sees nearly the same. What is transparent becomes white, and what the camera noted is left out.

    Args:
        contents: of a JPEG, PNG, BMP or GIF file.
        side: the larger of height and width that the model brings pictures to.

    Returns:
        A JPEG of a JPEG, or a PNG; or `contents`, if it is small enough, or no picture: the model says what is wrong.
    """
    try:
        with _silent():
            return _fitted(contents, side)
    except Exception:  # as above
        return contents


def _fitted(contents, side):
    picture = _opened(contents)
    kind = picture.format
    least = _AT_LEAST * side
    if (
        min(picture.size) < 2 * least
        or picture.mode not in _MODES
        or (kind == "GIF" and "transparency" in picture.info)
    ):
        return contents
    if kind == "JPEG":
        # As the model would: at half, a quarter or an eighth, which takes a fraction of the time.
        ratio = max(each for each in (1, 2, 4, 8) if min(picture.size) >= each * least)
        picture.draft(None, tuple(edge // ratio for edge in picture.size))
    picture = _as_seen(picture)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    times = max(1, min(picture.size) // least)
    picture = picture.resize(tuple(-(-edge // times) for edge in picture.size), Image.Resampling.BOX)
    picture.info = {}
    file = io.BytesIO()
    if kind == "JPEG":
        picture.save(file, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(file, "PNG")
    return file.getvalue()


def _as_seen(picture):
    """Turned as the model would: by EXIF data in front of the pixels, where Pillow also takes others and XMP's word."""
    believed = {name: picture.info[name] for name in ("exif", "transparency") if name in picture.info}
    picture.load()
    picture.info = believed
    picture = picture.copy()  # which forgets what else it has read
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _opened(contents):
    return Image.open(io.BytesIO(contents), formats=("JPEG", "PNG", "BMP", "GIF"))


@contextlib.contextmanager
def _silent():
    """Within it Pillow does not warn of large pictures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
