"""An image of a data set: some classes of each split, some images of each class."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from ml_lstm.data import ClassPool
from ml_lstm.plots.drawing import BACKGROUND, FAINT, GUTTER, INK, MARGIN, SMALL_FONT, TITLE_FONT, elide, thumbnail

NAME_WIDTH, TITLE_HEIGHT = 170, 34


def contact_sheet(pools: Mapping[str, ClassPool], classes: int = 6, pictures: int = 10, cell: int = 56) -> np.ndarray:
    """Draws a row for each of some classes, evenly spaced from the first to the last, split after split.

    Args:
        pools: by split.
        classes: largest number of rows for each split.
        pictures: largest number of images in a row; also evenly spaced.
        cell: side of a drawn image in pixels.

    Returns:
        uint8 [H, W, 3].
    """
    pitch = cell + GUTTER
    chosen = {split: _classes(pool, classes) for split, pool in pools.items()}
    height = 2 * MARGIN + sum(TITLE_HEIGHT + pitch * len(rows) for rows in chosen.values())
    sheet = Image.new("RGB", (2 * MARGIN + NAME_WIDTH + pitch * pictures, height), BACKGROUND)
    draw, y = ImageDraw.Draw(sheet), MARGIN
    for split, pool in pools.items():
        shape = "x".join(map(str, pool.image_shape))
        title = f"{split}: {pool.num_classes:,} classes, {len(pool.images):,} images of {shape}"
        draw.text((MARGIN, y + 4), title, INK, TITLE_FONT)
        y += TITLE_HEIGHT
        for source, view in chosen[split]:
            name = " ".join(pool.names[source].split()) + (f", view {view}" if pool.views is not None else "")
            middle = (MARGIN, y + cell // 2)
            draw.text(middle, elide(name, SMALL_FONT, NAME_WIDTH - GUTTER), INK, SMALL_FONT, anchor="lm")
            for column, index in enumerate(_spread(int(pool.counts[source]), pictures)):
                image = pool.images[pool.offsets[source] + index]
                if pool.views is not None:
                    image = image.reshape(-1, image.shape[-1])[pool.views[view]].reshape(image.shape)
                small = thumbnail(image, cell)
                at = (MARGIN + NAME_WIDTH + column * pitch, y)
                sheet.paste(small, at)
                draw.rectangle((at[0] - 1, at[1] - 1, at[0] + small.width, at[1] + small.height), outline=FAINT)
            y += pitch
    return np.array(sheet)


def _classes(pool, most):
    """Source index and view of at most `most` classes, from the first to the last of both."""
    steps = np.linspace(0, 1, min(most, pool.num_classes))
    sources, views = (((total - 1) * steps).round().astype(int) for total in (len(pool.counts), pool.num_views))
    return list(dict.fromkeys(zip(sources.tolist(), views.tolist(), strict=True)))


def _spread(total, most):
    """At most `most` whole numbers below `total`, including the first and the last."""
    return np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(int))
