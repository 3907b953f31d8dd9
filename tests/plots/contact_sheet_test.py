"""The contact sheet shows the right pictures of the right classes."""

import numpy as np

from ml_lstm.data import ClassPool
from ml_lstm.data.pools import quarter_turns
from ml_lstm.plots.contact_sheet import contact_sheet

DRAWN = {40, 200, 255}
"""Ink, frames and background."""


def flat(*shades):
    """Pictures of one shade each."""
    return np.stack([np.full((8, 8, 1), shade, np.uint8) for shade in shades])


def shades_in(sheet):
    """Shades that fill at least a picture's area, in pixels of a 16x16 cell."""
    values, counts = np.unique(sheet[..., 0], return_counts=True)
    return {int(value) for value, count in zip(values, counts, strict=True) if count >= 256}


def test_classes_and_pictures_are_spread_from_the_first_to_the_last():
    pool = ClassPool.from_classes({f"class {k}": flat(*(10 * k + n for n in range(5))) for k in range(20)})
    sheet = contact_sheet({"train": pool}, classes=3, pictures=2, cell=16)
    # Classes 0, 10 (9.5 rounds to even) and 19; pictures 0 and 4.
    assert shades_in(sheet) - DRAWN == {0, 4, 100, 104, 190, 194}


def test_small_data_are_shown_whole_and_splits_one_below_the_other():
    pools = {"val": ClassPool.from_classes({"a": flat(50)}), "test": ClassPool.from_classes({"b": flat(90, 91)})}
    sheet = contact_sheet(pools, cell=16)
    assert shades_in(sheet) - DRAWN == {50, 90, 91}
    above, below = (np.median(np.argwhere(sheet[..., 0] == shade)[:, 0]) for shade in (50, 90))
    assert above < below


def test_a_view_is_shown_as_an_episode_would_show_it():
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[0, 0, 0] = (200, 30, 30)
    pool = ClassPool.from_classes({"a": picture}, quarter_turns(2))
    sheet = contact_sheet({"train": pool}, classes=4, pictures=1, cell=16)
    red = np.argwhere((sheet == (200, 30, 30)).all(axis=-1))
    rows = np.split(red, np.flatnonzero(np.diff(red[:, 0]) > 8) + 1)
    corners = [(part.min(axis=0) // 8).tolist() for part in rows]
    assert len(rows) == 4
    assert corners[0][1] == corners[1][1] < corners[2][1] == corners[3][1]  # left, left, right, right
