"""A matrix as colours with its numbers in them."""

import numpy as np
import pytest

from ml_lstm.plots.heat_map import draw_heat_map


def test_each_number_is_in_its_place_and_what_is_missing_is_empty():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    values = np.array([[1.0, 2, np.nan], [4, 5, 6]])
    draw_heat_map(axes, ["above", "below"], ["x", "y", "z"], values)
    np.testing.assert_array_equal(np.ma.filled(axes.images[0].get_array(), np.nan), values)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "1.0", (1, 0): "2.0", (0, 1): "4.0", (1, 1): "5.0", (2, 1): "6.0"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["above", "below"]
    pixels = axes.transData.transform([(0, 0), (0, 1)])
    assert pixels[0][1] > pixels[1][1]  # the first row is above
    assert axes.images[0].get_zorder() > axes.xaxis.get_zorder()  # the grid is not drawn over the colours
    pyplot.close(figure)
