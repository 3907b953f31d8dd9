"""Writes images of kinds that no model is trained on: python -m benchmarks.other_pictures --out=DIR

Writes class folders for `evaluate --dataset=folder --split=all`: `DIR/digits`, handwritten digits of scikit-learn, and
`DIR/shapes`, drawings of ten shapes in any colours, places, sizes and rotations, on any background.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import flags, logging
from PIL import Image, ImageDraw

from ml_lstm.command_line import command
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded

FLAGS = flags.FLAGS

_SIDE = 64
_PICTURES = 60  # of each shape
_FINE = 4  # drawn this many times larger, and then shrunk
Points = list[tuple[float, float]]


def digits() -> Iterator[tuple[str, int, Image.Image]]:
    """The class, number and image of each of 1,797 digits of 8x8 pixels (Alpaydin and Kaynak 1998), dark on white."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for number, (pixels, label) in enumerate(zip(found.images, found.target, strict=True)):
        small = Image.fromarray((255 - 255 * pixels / 16).astype(np.uint8))
        yield str(label), number, small.resize((_SIDE // 2, _SIDE // 2), Image.Resampling.BICUBIC)


def shapes() -> Iterator[tuple[str, int, Image.Image]]:
    """The class, number and image of each drawing."""
    for place, (name, outlines) in enumerate(SHAPES.items()):
        for number in range(_PICTURES):
            yield name, number, _drawing(outlines, np.random.default_rng((place, number)))


def _corners(count: int, inner: float = 1.0) -> Points:
    """The corners of a regular polygon, or of a star with `inner` as the radius of its inner corners."""
    radii = [1.0] if inner == 1 else [1.0, inner]
    turns = count * len(radii)
    return [_at(2 * math.pi * turn / turns, radii[turn % len(radii)]) for turn in range(turns)]


def _at(angle, radius=1.0):
    return radius * math.cos(angle), radius * math.sin(angle)


def _box(left, top, right, bottom) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


# Outlines of each shape between -1 and 1; the inside of every second outline is background again.
SHAPES: dict[str, list[Points]] = {
    "arrow": [[(-1, -0.25), (0.2, -0.25), (0.2, -0.7), (1, 0), (0.2, 0.7), (0.2, 0.25), (-1, 0.25)]],
    "bar": [_box(-1, -0.2, 1, 0.2)],
    "cross": [[(-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1), (-0.3, 0.3),
               (-1, 0.3), (-1, -0.3), (-0.3, -0.3)]],
    "crescent": [[*(_at(step / 20) for step in range(20, 107)), *(_at(step / 20, 0.75) for step in range(99, 26, -1))]],
    "disc": [_corners(40)],
    "frame": [_box(-0.8, -0.8, 0.8, 0.8), _box(-0.45, -0.45, 0.45, 0.45)],
    "ring": [_corners(40), [(0.6 * x, 0.6 * y) for x, y in _corners(40)]],
    "square": [_box(-0.75, -0.75, 0.75, 0.75)],
    "star": [_corners(5, inner=0.4)],
    "triangle": [_corners(3)],
}  # fmt: skip


def _drawing(outlines, random):
    side = _SIDE * _FINE
    ground, ink = _unlike_colours(random)
    canvas = Image.fromarray(ground).resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    size, turn = random.uniform(0.25, 0.4) * side, random.uniform(0, 2 * math.pi)
    x, y = random.uniform(size, side - size, 2)
    under = canvas.copy()
    for number, outline in enumerate(outlines):
        cos, sin = math.cos(turn), math.sin(turn)
        placed = [(x + size * (a * cos - b * sin), y + size * (a * sin + b * cos)) for a, b in outline]
        if number % 2:
            mask = Image.new("1", canvas.size)
            ImageDraw.Draw(mask).polygon(placed, fill=1)
            canvas.paste(under, mask=mask)
        else:
            draw.polygon(placed, fill=tuple(int(value) for value in ink))
    pixels = np.asarray(canvas.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    return Image.fromarray((pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def _unlike_colours(random):
    """Four corner colours of a background [2, 2, 3], and a drawing colour that is far from each of them."""
    while True:
        ground = random.integers(256, size=3) + random.integers(-40, 41, size=(2, 2, 3))
        ink = random.integers(256, size=3)
        if np.abs(ground - ink).sum(axis=-1).min() > 200:
            return ground.clip(0, 255).astype(np.uint8), ink


def write(pictures: Callable[[], Iterator[tuple[str, int, Image.Image]]], root: Path) -> int:
    """Writes `root/<class>/0000.png` and so on; returns the number of files."""
    count = 0
    for name, number, picture in pictures():
        (root / name).mkdir(parents=True, exist_ok=True)
        picture.save(root / name / f"{number:04}.png")
        count += 1
    return count


def main() -> None:
    """Writes both folders."""
    out = expanded(FLAGS.out)
    for name, pictures in {"digits": digits, "shapes": shapes}.items():
        if (out / name).exists():
            raise UserError(f"{out / name} exists already: remove it, or give another --out.")
        print(f"{write(pictures, out / name)} images in {out / name}")


if __name__ == "__main__":
    flags.DEFINE_string("out", None, "Directory for the folders.", required=True)
    logging.set_verbosity(logging.WARNING)
    command.run(main)
