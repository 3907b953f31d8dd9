"""Tests of the episode sheet, read back from its pixels."""

import itertools

import numpy as np
import pytest

from ml_lstm.plots.episode_sheet import episode_sheet

SIDE = 14


def marked(count):
    """Pictures of one shade of blue each, which no frame, letter or other picture has."""
    shades = [(60 + 2 * k, 60 + 2 * k, 250) for k in range(count)]
    return np.array(shades, np.uint8)[:, None, None].repeat(SIDE, 1).repeat(SIDE, 2)


def box_of(sheet, picture):
    """Top, bottom, left, right (inclusive) of a one-shade picture, which must lie on the sheet whole."""
    rows, columns = np.nonzero((sheet == picture[0, 0]).all(-1))
    box = rows.min(), rows.max(), columns.min(), columns.max()
    assert len(rows) == (box[1] - box[0] + 1) * (box[3] - box[2] + 1), "something is drawn over the picture"
    return box


def is_red(pixels):
    pixels = pixels.astype(int)
    return (pixels[..., 0] > 150) & (pixels[..., 1:].max(-1) < 80)


def is_green(pixels):
    pixels = pixels.astype(int)
    return (pixels[..., 1] > 90) & (pixels[..., 0] < 60)


def one_hot(predictions, n_way):
    return np.eye(n_way)[predictions]


def sheet_of(shots, queries, predictions=None, class_names=None, **options):
    """A sheet of `shots[k]` and `queries[k]` pictures of class k, and its query pictures."""
    support_labels = np.repeat(np.arange(len(shots)), shots)
    query_labels = np.repeat(np.arange(len(queries)), queries)
    pictures = marked(len(query_labels))
    probabilities = one_hot(query_labels if predictions is None else predictions, len(shots))
    supports = np.zeros((len(support_labels), SIDE, SIDE, 3), np.uint8)
    arguments = supports, support_labels, pictures, query_labels, probabilities, class_names
    return episode_sheet(*arguments, **options), pictures


def test_grey_and_rgb_pictures_are_drawn_in_their_own_colours():
    for colour in ([90], [90, 17, 200]):
        queries = np.full((2, SIDE, SIDE, len(colour)), colour, np.uint8)
        sheet = episode_sheet(np.zeros_like(queries), [0, 1], queries, [0, 1], np.eye(2))
        assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3
        # The edges of letters have shades of grey too, but only a few pixels of each.
        assert 0 <= (sheet == colour).all(-1).sum() - 2 * 64 * 64 < 100


def test_small_pictures_are_enlarged_without_new_shades_and_large_ones_fit_the_cell():
    blue, yellow = (60, 70, 250), (250, 240, 10)
    checkers = np.where(np.indices((8, 8)).sum(0)[None, ..., None] % 2, blue, yellow).astype(np.uint8)
    sheet = episode_sheet(checkers, [0], checkers, [0], np.ones((1, 1)), cell=64)
    for colour in (blue, yellow):
        assert (sheet == colour).all(-1).sum() == 2 * 64 * 64 // 2
    large = np.full((1, 200, 100, 3), (60, 70, 250), np.uint8)
    sheet = episode_sheet(np.zeros_like(large), [0], large, [0], np.ones((1, 1)), cell=64)
    top, bottom, left, right = box_of(sheet, large[0])
    assert (bottom - top + 1, right - left + 1) == (64, 32)


def test_wrong_queries_are_framed_and_captioned_in_red_and_right_ones_are_not():
    predictions = np.array([0, 1, 1, 0, 2, 2])
    sheet, pictures = sheet_of([1, 1, 1], [2, 2, 2], predictions)
    for picture, wrong in zip(pictures, predictions != [0, 0, 1, 1, 2, 2], strict=True):
        top, bottom, left, right = box_of(sheet, picture)
        for frame in (
            sheet[top - 2, left : right + 1],
            sheet[bottom + 2, left : right + 1],
            sheet[top : bottom + 1, left - 2],
            sheet[top : bottom + 1, right + 2],
        ):
            assert is_red(frame).all() if wrong else not is_red(frame).any()
        caption = sheet[bottom + 5 : bottom + 33, left : right + 1]
        assert is_red(caption).any() == wrong
        assert is_green(caption).any() != wrong


def test_rows_follow_the_true_labels_in_whatever_order_the_queries_come():
    labels = np.array([2, 0, 1, 0, 2, 1])
    pictures = marked(6)
    supports = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    sheet = episode_sheet(supports, np.arange(3), pictures, labels, one_hot((labels + 1) % 3, 3))
    tops = [box_of(sheet, picture)[0] for picture in pictures]
    assert (np.unique(tops, return_inverse=True)[1] == labels).all()


def test_uneven_shots_and_a_class_without_queries_are_drawn_in_their_own_rows():
    shots, queries = [1, 9, 3], [2, 0, 12]
    sheet, pictures = sheet_of(shots, queries, max_queries_per_class=8)
    boxes = [box_of(sheet, picture) for picture in pictures[:10]]
    first_query = min(left for _, _, left, _ in boxes)
    support_area = (sheet[:, :first_query] == 0).all(-1).sum()
    assert support_area == (1 + 5 + 3) * 64 * 64, "up to five supports a class"
    for hidden in pictures[10:]:
        assert not (sheet == hidden[0, 0]).all(-1).any()


def test_long_names_stay_clear_of_pictures_of_each_other_and_of_the_edge():
    names = ["Japanese_(katakana)/" * 20 + f"character{k}" for k in range(3)]
    sheet, pictures = sheet_of([1, 1, 1], [4, 4, 4], class_names=names)
    plain, _ = sheet_of([1, 1, 1], [4, 4, 4])
    assert sheet.shape[1] < plain.shape[1] + 200
    boxes = [box_of(sheet, picture) for picture in pictures]
    for (_, bottom, _, right), (_, _, next_left, _) in itertools.pairwise(boxes[:4]):
        between = (right + 1 + next_left) // 2
        assert (sheet[bottom + 5 : bottom + 33, between] == 255).all()
    assert (sheet[:, -8:] == 255).all()
    assert (sheet[:, :8] == 255).all()


@pytest.mark.parametrize("n_way", [1, 20])
def test_nothing_touches_the_edges_and_the_sheet_stays_within_a_screen_or_two(n_way):
    sheet, _ = sheet_of([6] * n_way, [9] * n_way if n_way == 1 else [4] * n_way)
    for edge in (sheet[:4], sheet[-4:], sheet[:, :8], sheet[:, -8:]):
        assert (edge == 255).all()
    assert sheet.shape[0] <= 2400 and sheet.shape[1] <= 1400


def test_what_does_not_fit_together_is_refused_with_what_was_received():
    pictures = marked(2)
    with pytest.raises(ValueError, match="float32"):
        episode_sheet(pictures.astype(np.float32), [0, 1], pictures, [0, 1], np.eye(2))
    with pytest.raises(ValueError, match=r"\[0 2\]"):
        episode_sheet(pictures, [0, 1], pictures, [0, 2], np.eye(2))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        episode_sheet(pictures, [0, 1], pictures, [0, 1], np.eye(3))
    with pytest.raises(ValueError, match="received 1"):
        episode_sheet(pictures, [0, 1], pictures, [0, 1], np.eye(2), class_names=["lynx"])


def unlabelled(predictions, n_way, query_names=None, **options):
    """A sheet of queries whose labels are not known, and their pictures."""
    pictures = marked(len(predictions))
    supports = np.zeros((n_way, SIDE, SIDE, 3), np.uint8)
    arguments = supports, np.arange(n_way), pictures, None, one_hot(np.array(predictions), n_way)
    return episode_sheet(*arguments, query_names=query_names, **options), pictures


def test_queries_without_labels_are_in_the_rows_of_their_predictions_and_neither_right_nor_wrong():
    predictions = [2, 0, 1, 0, 2]
    sheet, pictures = unlabelled(predictions, 3)
    tops = [box_of(sheet, picture)[0] for picture in pictures]
    assert (np.unique(tops, return_inverse=True)[1] == predictions).all()
    assert not is_red(sheet).any()
    assert not is_green(sheet).any()


def test_a_query_without_a_label_stands_above_its_name():
    names = ["", "a.png", "b" * 200 + ".png"]
    (plain, _), (sheet, pictures) = unlabelled([0, 0, 0], 2), unlabelled([0, 0, 0], 2, names)
    assert plain.shape == sheet.shape
    changed = (plain != sheet).any(-1)
    for picture, name in zip(pictures, names, strict=True):
        _, bottom, left, right = box_of(sheet, picture)
        assert changed[bottom + 5 : bottom + 33, left - 4 : right + 5].any() == bool(name)
        changed[bottom + 5 : bottom + 33, left - 4 : right + 5] = False
    assert not changed.any()


def test_as_many_query_names_as_queries_are_needed():
    with pytest.raises(ValueError, match=r"query_names must be 2 names, received 1: \['a'\]"):
        unlabelled([0, 1], 2, ["a"])
