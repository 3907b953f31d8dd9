"""Figures with axes: which legend they have."""

import pytest

from ml_lstm.plots.figures import saved_figure


@pytest.mark.parametrize(("labels", "inside", "below"), [(["a", "a"], 0, 1), (["a", "b"], 2, 0), (["a", None], 1, 0)])
def test_panels_with_the_same_labels_share_a_legend_below_them(tmp_path, labels, inside, below):
    with saved_figure(tmp_path / "figure.png", (1, 2)) as grid:
        for axes, label in zip(grid.flat, labels, strict=True):
            axes.plot([0, 1], label=label)
        figure = grid[0, 0].figure
    assert sum(axes.get_legend() is not None for axes in grid.flat) == inside
    assert len(figure.legends) == below
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_a_legend_shows_names_word_for_word(tmp_path):
    with saved_figure(tmp_path / "figure.png") as axes:
        axes.plot([0, 1], label="$1 and $2")
    (text,) = axes.get_legend().get_texts()
    assert text.get_text() == "$1 and $2" and not text.get_parse_math()
