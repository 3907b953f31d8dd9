"""Rotates and shrinks photographs from a camera before they are sent to a model.

The client is self-contained and has a copy of this file; `tests/export/copies_test.py` checks that they are equal.
"""

import contextlib
import io
import warnings

from PIL import Image, ImageOps

_AT_LEAST = 2
"""Minimum size after shrinking, as a multiple of the model's image size: the model does the rest by its own rule."""

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")


def shorter_edge(contents: bytes) -> int:
    """Pixels of an image file's shorter edge, from its header; 0 if Pillow does not recognise an image."""
    try:
        with _silent():
            return min(_opened(contents).size)
    except Exception:  # Pillow reports damage with almost any exception type
        return 0


def fitted(contents: bytes, side: int) -> bytes:
    """Prepares an image file for sending: if it is far larger than needed, rotates it by its EXIF data and shrinks it.

    It is shrunk by averaging whole pixels, as the model does, so that its shorter edge is at least twice `side` and the
    model sees nearly the same image. Transparent pixels become white, and the camera's metadata are removed.

    Args:
        contents: the bytes of a JPEG, PNG, BMP or GIF file.
        side: the larger of height and width to which the model resizes images.

    Returns:
        A JPEG for a JPEG, otherwise a PNG. `contents` unchanged if it is small enough, or not an image: the model then
        reports the problem.
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
        # Like the model, decode at a half, a quarter or an eighth of the size, which takes a fraction of the time.
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
    """Rotates like the model: by EXIF data before the pixels only. Pillow alone would also use later data and XMP."""
    believed = {name: picture.info[name] for name in ("exif", "transparency") if name in picture.info}
    picture.load()
    picture.info = believed
    picture = picture.copy()  # drops the other metadata that `load` has read
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _opened(contents):
    return Image.open(io.BytesIO(contents), formats=("JPEG", "PNG", "BMP", "GIF"))


@contextlib.contextmanager
def _silent():
    """A context in which Pillow does not warn about large images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
