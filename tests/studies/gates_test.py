"""Gates: what is trained, what of the gates the table tells, and which curves are drawn."""

import numpy as np
import pytest

from studies import gates
from studies.harness import SCALES, carry_out

LAYERS = ["a", "b", "c", "d", "e"]
RANDOM = np.random.default_rng(0)


def measured(shots, updates):
    """Forget gates that differ by nothing, input gates that differ by everything."""
    forget = np.full((4, updates, 5), 0.9 + shots / 100)
    return {
        "test": {"accuracy": shots / 10, "confidence_interval_95": 0.01},
        "gates": {
            "layers": LAYERS,
            "forget_gates": forget.tolist(),
            "input_gates": RANDOM.uniform(size=forget.shape).tolist(),
        },
    }


@pytest.fixture
def results():
    return {"1_shot": measured(1, 12), "5_shot": measured(5, 3)}


@pytest.mark.parametrize("scale", SCALES)
def test_gates_are_measured_of_a_run_for_each_number_of_shots(scale):
    one, five = gates.trainings(scale)
    assert ("--k_shot=1" in one.flags, "--k_shot=5" in five.flags) == (True, True)
    assert {each.command for each in one.measurements} == {"ml_lstm.evaluate", "ml_lstm.gates"}
    assert one.measurements == five.measurements


def test_a_row_tells_by_how_much_the_gates_of_its_layer_vary(results):
    head, *rows = gates.table(results)
    assert len(head) == 8 and [row[1] for row in rows] == LAYERS * 2
    assert rows[0][:5] == ["1 (10.00 ± 1.00)", "a", "0.9100", "0.000", "0.000"]
    assert rows[5][0] == "5 (50.00 ± 1.00)"
    of_layer = np.array(results["5_shot"]["gates"]["input_gates"])[:, :, 2]
    mean = of_layer.mean()
    between = np.mean([np.std(of_layer[:, update]) for update in range(3)]) / mean
    over = np.std([of_layer[:, update].mean() for update in range(3)]) / mean
    assert rows[7][5:] == [f"{mean:.4f}", f"{100 * between:.3f}", f"{100 * over:.3f}"]


def test_a_curve_is_drawn_for_each_episode_in_the_panel_of_its_layer_and_gate(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots(*gates.STUDY.panels)
    gates.draw(results, axes)
    assert axes[1, 3].get_title() == "d"
    assert [panel.get_ylabel() for panel in axes[:, 0]] == [
        *("1-shot, forget gate", "1-shot, input gate", "5-shot, forget gate", "5-shot, input gate")
    ]
    curves = [line.get_ydata() for line in axes[3, 4].lines]
    np.testing.assert_array_equal(curves, np.array(results["5_shot"]["gates"]["input_gates"])[:, :, 4])
    pyplot.close(figure)


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(gates.STUDY, tmp_path, "small")
    assert len(rows) == 11 and all(len(row) == 8 for row in rows)
    assert {path.suffix for path in tmp_path.glob("gates.*")} == {".json", ".md", ".png"}
