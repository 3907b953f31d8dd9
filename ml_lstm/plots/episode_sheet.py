"""An image of one episode: the support set, the answers, and which of them are wrong."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ml_lstm.plots.drawing import (
    BACKGROUND,
    FAINT,
    FONT,
    GUTTER,
    INK,
    MARGIN,
    SMALL_FONT,
    TITLE_FONT,
    elide,
    thumbnail,
)

RIGHT, WRONG = (0, 120, 50), (205, 20, 30)
MAX_SUPPORTS = 5
MAX_NAME_WIDTH, CAPTION_HEIGHT = 170, 28
SECTION_GAP, MORE_WIDTH, WRONG_FRAME = 24, 32, 3


def _check(kind: str, images: np.ndarray, labels: np.ndarray, n_way: int) -> None:
    shape = f"{images.dtype} {images.shape}"
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(f"{kind}_images must be uint8 [n, h, w, 1 or 3], received {shape}.")
    if labels.shape != images.shape[:1] or not len(labels) or labels.min() < 0 or labels.max() >= n_way:
        raise ValueError(f"{kind}_labels must be {len(images)} in [0, {n_way}), received {labels}.")


def _counted(queries: int) -> str:
    return f"{queries or 'no'} {'query' if queries < 2 else 'queries'}"


def episode_sheet(
    support_images: np.ndarray,
    support_labels: np.ndarray,
    query_images: np.ndarray,
    query_labels: np.ndarray | None,
    probabilities: np.ndarray,
    class_names: Sequence[str] | None = None,
    query_names: Sequence[str] | None = None,
    max_queries_per_class: int = 8,
    cell: int = 64,
) -> np.ndarray:
    """Draws an episode: a row for each class, with its support images, then its queries.

    Below a query are the predicted class and its probability: green if correct, red and framed if not.
    The title's accuracy and the counts at the left are over all queries, including those not drawn (`+n`).
    If the labels of queries are unknown, a query is in the row of its predicted class, above its name.

    Args:
        support_images: uint8 [n_support, h, w, 1 or 3].
        support_labels: int [n_support], in [0, n_way); classes may have different numbers of shots.
        query_images: uint8 [n_query, h, w, 1 or 3].
        query_labels: int [n_query], in [0, n_way); None if they are unknown.
        probabilities: float [n_query, n_way].
        class_names: n_way names; without them a class is called by its number.
        query_names: n_query names, for example of files, if labels are unknown.
        max_queries_per_class: number of queries drawn in a row, the first ones.
        cell: side of a drawn image in pixels.
    Returns:
        uint8 [H, W, 3].
    Raises:
        ValueError: if shapes, dtypes, labels or the number of names do not fit together.
    """
    support_images, support_labels = np.asarray(support_images), np.asarray(support_labels)
    query_images, probabilities = np.asarray(query_images), np.asarray(probabilities)
    if probabilities.ndim != 2 or len(probabilities) != len(query_images):
        raise ValueError(f"probabilities must be [{len(query_images)}, n_way], received {probabilities.shape}.")
    n_way = probabilities.shape[1]
    known, predictions = query_labels is not None, probabilities.argmax(axis=1)
    query_labels = np.asarray(query_labels) if known else predictions
    _check("support", support_images, support_labels, n_way)
    _check("query", query_images, query_labels, n_way)
    for kind, given, count in (("class", class_names, n_way), ("query", query_names, len(query_images))):
        if given is not None and len(given) != count:
            raise ValueError(f"{kind}_names must be {count} names, received {len(given)}: {given}.")
    # The number before a name distinguishes classes in captions, even if two names are shortened to the same text.
    names = [f"{k} {class_names[k]}" if known else class_names[k] for k in range(n_way)] if class_names else []
    names = [" ".join(name.split()) for name in names or [f"class {k}" for k in range(n_way)]]

    right = predictions == query_labels
    shots, queries = (np.bincount(labels, minlength=n_way) for labels in (support_labels, query_labels))
    k_shot = f"{shots.max()}-shot" if shots.min() == shots.max() else f"{shots.min()}- to {shots.max()}-shot"
    accuracy = f"accuracy {right.mean():.1%} ({right.sum()} of {len(right)} queries)"
    title = f"{n_way}-way {k_shot}: {accuracy if known else _counted(len(right))}"
    rights = np.bincount(query_labels[right], minlength=n_way)
    tallies = [
        f"{rights[k]} of {queries[k]} right" if known and queries[k] else _counted(queries[k]) for k in range(n_way)
    ]

    # A caption needs some width even below a tiny image.
    column = max(cell, 48)
    pitch = column + GUTTER
    below = [names[predicted] for predicted in predictions] if known else query_names or [""] * len(predictions)
    captions = [elide(" ".join(words.split()), SMALL_FONT, pitch - 4) for words in below]

    def section_width(count: int, limit: int) -> int:
        return pitch * min(count, limit) - GUTTER + (GUTTER + MORE_WIDTH) * (count > limit)

    name_width = max(*map(FONT.getlength, names), *map(SMALL_FONT.getlength, tallies))
    support_x = MARGIN + int(min(name_width, MAX_NAME_WIDTH)) + SECTION_GAP
    query_x = support_x + section_width(shots.max(), MAX_SUPPORTS) + SECTION_GAP
    heading = "queries, with the prediction below" if known else "queries, by predicted class"
    query_width = max(section_width(queries.max(), max_queries_per_class), SMALL_FONT.getlength(heading))
    right_end = max(query_x + query_width, MARGIN + TITLE_FONT.getlength(title))
    first_row, row_height = MARGIN + 52, cell + CAPTION_HEIGHT + 2 * GUTTER
    size = (int(right_end) + 1 + MARGIN, int(first_row + row_height * n_way))
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, INK, TITLE_FONT)
    draw.text((support_x, MARGIN + 30), "support", INK, SMALL_FONT)
    draw.text((query_x, MARGIN + 30), heading, INK, SMALL_FONT)

    def paste(image: np.ndarray, x: int, y: int, color: tuple[int, int, int], frame: int) -> None:
        # The frame is outside the image and hides none of it.
        framed = ImageOps.expand(thumbnail(image, cell), border=frame, fill=color)
        sheet.paste(framed, (x + (column - framed.width) // 2, y + (cell - framed.height) // 2))

    for k in range(n_way):
        y = first_row + k * row_height + GUTTER
        middle = y + cell // 2
        draw.line((MARGIN, y - GUTTER, size[0] - MARGIN, y - GUTTER), FAINT)
        draw.text((MARGIN, middle), elide(names[k], FONT, MAX_NAME_WIDTH), INK, FONT, anchor="ls")
        draw.text((MARGIN, middle + 6), tallies[k], INK, SMALL_FONT, anchor="la")
        if shots[k] > MAX_SUPPORTS:
            more = f"+{shots[k] - MAX_SUPPORTS}"
            draw.text((support_x + pitch * MAX_SUPPORTS, middle), more, INK, FONT, anchor="lm")
        if queries[k] > max_queries_per_class:
            more = f"+{queries[k] - max_queries_per_class}"
            draw.text((query_x + pitch * max_queries_per_class, middle), more, INK, FONT, anchor="lm")
        for i, index in enumerate(np.flatnonzero(support_labels == k)[:MAX_SUPPORTS]):
            paste(support_images[index], support_x + i * pitch, y, FAINT, 1)
        for i, index in enumerate(np.flatnonzero(query_labels == k)[:max_queries_per_class]):
            x, predicted = query_x + i * pitch, predictions[index]
            paste(query_images[index], x, y, *((FAINT, 1) if right[index] else (WRONG, WRONG_FRAME)))
            caption = f"{captions[index]}\n{probabilities[index, predicted]:.0%}"
            color = (RIGHT if right[index] else WRONG) if known else INK
            place = (x + column // 2, y + cell + 5)
            draw.text(place, caption, color, SMALL_FONT, anchor="ma", align="center", spacing=2)
    return np.array(sheet)
