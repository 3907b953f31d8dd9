"""Parts shared by sheets of images."""

import io

import numpy as np
from PIL import Image, ImageFont, ImageOps

BACKGROUND, INK, FAINT = (255, 255, 255), (40, 40, 40), (200, 200, 200)
MARGIN, GUTTER = 12, 10


def _font(size):
    """A system font with letters of many scripts, for names of classes; else Pillow's own, which has only A to z."""
    for name in ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


TITLE_FONT, FONT, SMALL_FONT = (_font(size) for size in (15, 12, 11))


def elide(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Cuts the middle out of a text that is too wide, as names like `alphabet/character07` differ at the end."""
    if font.getlength(text) <= width:
        return text
    # A letter takes at least 2 pixels; starting there avoids measuring every length of a very long name.
    kept, shortened = min(len(text), int(width / 2)), text
    while kept and font.getlength(shortened) > width:
        kept -= 1
        shortened = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return shortened


def thumbnail(image: np.ndarray, cell: int) -> Image.Image:
    """Fits an image, uint8 [h, w, 1 or 3], into a square of `cell` pixels and keeps its proportions."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    scale = cell / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    # Nearest shows the pixels that the learner saw, but would drop strokes if the image has to shrink.
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)


def square(contents: bytes, side: int) -> np.ndarray:
    """Reads an image file as uint8 [side, side, 3]: in its own proportions on white, rotated by its EXIF data.

    A file that Pillow cannot read becomes a grey square, so that the drawing does not fail because of it.
    """
    try:
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
        if picture.mode.startswith("I"):  # 16 bits
            picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, BACKGROUND)
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        fitting = thumbnail(np.asarray(picture.convert("RGB")), side)
    except Exception:  # Pillow reports damage by nearly any exception
        fitting = Image.new("RGB", (side, side), FAINT)
    whole = Image.new("RGB", (side, side), BACKGROUND)
    whole.paste(fitting, ((side - fitting.width) // 2, (side - fitting.height) // 2))
    return np.array(whole)
