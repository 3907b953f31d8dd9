"""Gate values: a panel a layer, a curve an episode."""

import numpy as np
import pytest

from ml_lstm.plots.gates import draw_gates


@pytest.mark.parametrize("updates", [1, 4])
def test_a_panel_has_the_curves_of_its_layer_on_the_scale_of_its_gate(updates):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    forget, take = np.random.default_rng(0).uniform(size=(2, 3, updates, 2))  # 3 episodes, 2 layers
    figure, axes = pyplot.subplots(2, 2)
    draw_gates(axes, ["first", "second"], forget, take)
    for row, values in zip(axes, (forget, take), strict=True):
        assert row[0].get_ylim() == row[1].get_ylim()
        assert row[0].get_ylim()[0] < values.min() and row[0].get_ylim()[1] > values.max()
        for layer, panel in enumerate(row):
            curves = [line.get_ydata() for line in panel.lines]
            np.testing.assert_array_equal(curves, values[:, :, layer])
            np.testing.assert_array_equal(panel.lines[0].get_xdata(), 1 + np.arange(updates))
    assert [panel.get_title() for panel in axes[0]] == ["first", "second"]
    pyplot.close(figure)
