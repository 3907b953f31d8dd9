"""Invented characters, drawn by the program: a substitute for Omniglot that needs no files and no network.

Every class has one to four smooth strokes: lines, corners, arcs and free curves. A stroke often starts on an earlier
one (as the relations of Lake et al. 2015). Every drawing of a class is by a different simulated drawer: strokes are
moved and bent a little, the character is rotated, stretched, slanted and shifted, and the width of the pen differs.
Lengths are fractions of the image's side; x is to the right, y down.
"""

import numpy as np

from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sources.base import Source
from ml_lstm.options import Whole, checked

CLASSES = {"train": 800, "val": 100, "test": 200}
DRAWINGS = 20

_CONTROLS = 8  # control points per stroke
_STROKE_COUNTS = {1: 0.12, 2: 0.36, 3: 0.34, 4: 0.18}  # number of strokes in a character: probability
_SHAPES = {"line": 0.30, "corner": 0.15, "arc": 0.30, "curve": 0.25}

# Variation between drawers: standard deviations, and the range of the pen's width.
_BEND = 0.026  # of the ends and middle of every stroke
_MOVE = 0.030  # of every stroke
_SHIFT = 0.040  # of the character
_TURN = 0.12  # radians
_STRETCH = 0.12  # of the logarithms of width and height
_SLANT = 0.12
_HALF_PEN = (0.016, 0.028)

_SPACING = 0.5  # approximate distance between points of a rendered stroke, in pixels
_CHARACTERS_AT_ONCE = 50  # bounds the memory of rendering


@checked
def load(image_size: int, *, glyphs_seed: Whole = 0) -> dict[str, ClassPool]:
    """Draws 1,100 characters, 20 times each, in dark ink (0) on white (255).

    One seed gives the same characters and drawings in every size. They are about as hard to distinguish as Omniglot's,
    or a little easier.

    Args:
        image_size: S, height and width in pixels.
        glyphs_seed: seed of all characters and drawings.

    Returns:
        The pools `"train"` (800 classes), `"val"` (100) and `"test"` (200), images uint8 [N, S, S, 1].

    Raises:
        ValueError: if `image_size` is not positive.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be positive, not {image_size}.")
    rng = np.random.Generator(np.random.PCG64(glyphs_seed))
    characters = [_invent_character(rng) for _ in range(sum(CLASSES.values()))]
    pens = rng.uniform(*_HALF_PEN, (len(characters), DRAWINGS))
    drawn = [_redraw(strokes, rng) for strokes in characters]
    starts = range(0, len(drawn), _CHARACTERS_AT_ONCE)
    batches = [slice(start, start + _CHARACTERS_AT_ONCE) for start in starts]
    images = np.concatenate([_render(drawn[batch], pens[batch], image_size) for batch in batches])
    pools, first = {}, 0
    for part, count in CLASSES.items():
        classes = {f"glyph_{k:04d}": images[k] for k in range(first, first + count)}
        pools[part] = ClassPool.from_classes(classes)
        first += count
    return pools


def _invent_character(rng: np.random.Generator) -> np.ndarray:
    """The control points [strokes, 8, 2] of a new character, in the middle of the image."""
    count = rng.choice(list(_STROKE_COUNTS), p=list(_STROKE_COUNTS.values()))
    strokes = []
    for _ in range(count):
        # A character of one stroke is a free curve: single lines and arcs are too similar.
        stroke = _invent_stroke("curve" if count == 1 else rng.choice(list(_SHAPES), p=list(_SHAPES.values())), rng)
        if strokes and rng.random() < 0.65:
            hold = stroke[rng.choice([0, _CONTROLS // 2])]
            stroke += strokes[rng.integers(len(strokes))][rng.integers(_CONTROLS)] - hold
        else:
            stroke += rng.uniform(-0.5, 0.5, 2) - stroke.mean(axis=0)
        strokes.append(stroke)
    controls = np.stack(strokes)
    least, most = controls.min(axis=(0, 1)), controls.max(axis=(0, 1))
    return 0.5 + (controls - (least + most) / 2) * rng.uniform(0.55, 0.8) / (most - least).max()


def _invent_stroke(shape: str, rng: np.random.Generator) -> np.ndarray:
    """Control points [8, 2] of a walk with equal steps; the turns between the steps give the shape."""
    turns = np.zeros(_CONTROLS - 1)
    turns[0] = rng.uniform(0, 2 * np.pi)
    if shape == "corner":
        turns[rng.integers(2, _CONTROLS - 2)] = rng.choice([-1, 1]) * rng.uniform(0.9, 2.5)
    elif shape == "arc":
        turns[1:] = rng.choice([-1, 1]) * rng.uniform(0.25, 0.95)
    elif shape == "curve":
        turns[1:] = _spline_weights(_CONTROLS - 2, 3) @ rng.normal(0, 0.75, 3)
    heading = np.cumsum(turns)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=-1) * rng.uniform(0.4, 1.2) / (_CONTROLS - 1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def _redraw(strokes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Control points [20, strokes, 8, 2] of one character by twenty drawers, from the control points of its model."""
    # Three random points per stroke: a hand's errors are smooth; independent errors of all eight would look shaky.
    bend = _spline_weights(_CONTROLS, 3) @ rng.normal(0, _BEND, (DRAWINGS, len(strokes), 3, 2))
    move = rng.normal(0, _MOVE, (DRAWINGS, len(strokes), 1, 2))
    shift = rng.normal(0, _SHIFT, (DRAWINGS, 1, 1, 2))
    turn = rng.normal(0, _TURN, (DRAWINGS, 1, 1))
    slant = rng.normal(0, _SLANT, (DRAWINGS, 1, 1))
    width, height = np.exp(rng.normal(0, _STRETCH, (2, DRAWINGS, 1, 1)))
    x, y = np.moveaxis(strokes + bend + move - 0.5, -1, 0)
    x, y = width * x + slant * y, height * y
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) + 0.5 + shift


def _render(drawn: list[np.ndarray], half_pens: np.ndarray, size: int) -> np.ndarray:
    """Images uint8 [K, 20, size, size, 1] of K characters, from the results of `_redraw` and half pen widths [K, 20].

    A pixel's ink is the part of it that lies within half a pen's width of the nearest point of a stroke.
    """
    owner = np.repeat(np.arange(len(drawn)), [controls.shape[1] for controls in drawn])
    controls = np.concatenate(drawn, axis=1)  # [20, P, 8, 2], P strokes of all K characters
    longest = np.linalg.norm(np.diff(controls, axis=2), axis=-1).sum(axis=-1).max() * size
    samples = int(longest / _SPACING) + 2
    points = np.einsum("tc,dpcx->dptx", _spline_weights(samples, _CONTROLS), controls) * size - 0.5
    # On this grid all later sums are exact, so pixels do not depend on a machine's rounding.
    points = (np.rint(points * 128) / 128).astype(np.float32)
    half_pens = (half_pens * size).astype(np.float32)
    reach = int(np.ceil(half_pens.max()))  # a point inks no pixel further than this from its own
    # Points beyond the edge fall on a margin that is cropped off; it is so wide that they ink no pixel of the image.
    margin = 2 * reach + 1
    side = size + 2 * margin
    points = np.clip(points + margin, reach, side - 1 - reach)
    nearest = np.rint(points)
    image = owner * DRAWINGS + np.arange(DRAWINGS)[:, np.newaxis]
    row_start = (image[..., np.newaxis] * side + nearest[..., 1].astype(np.int64)) * side
    pixel = row_start + nearest[..., 0].astype(np.int64)
    offset = nearest - points
    square_distance = np.full(len(drawn) * DRAWINGS * side * side, np.inf, np.float32)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            to_here = np.square(offset[..., 0] + dx) + np.square(offset[..., 1] + dy)
            np.minimum.at(square_distance, (pixel + dy * side + dx).ravel(), to_here.ravel())
    distance = np.sqrt(square_distance).reshape(len(drawn), DRAWINGS, side, side)
    ink = np.clip(half_pens[..., np.newaxis, np.newaxis] + 0.5 - distance, 0, 1)
    inside = slice(margin, margin + size)
    return np.rint(255 * (1 - ink[..., inside, inside, np.newaxis])).astype(np.uint8)


def _spline_weights(samples: int, controls: int) -> np.ndarray:
    """Weights [samples, controls] of the control points for points along a Catmull-Rom spline through them."""
    at = np.linspace(0, controls - 1, samples)
    left = np.minimum(at.astype(int), controls - 2)
    powers = (at - left)[:, np.newaxis] ** np.arange(4)
    cubic = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    weights = np.zeros((samples, controls))
    neighbours = np.clip(left[:, np.newaxis] + np.arange(-1, 3), 0, controls - 1)
    np.add.at(weights, (np.arange(samples)[:, np.newaxis], neighbours), powers @ cubic)
    return weights


SOURCE = Source(load, 1, "characters drawn by the program: needs no files, no network; the default")
