"""Gates over the updates: python -m studies.gates --data_dir=DIR --out=DIR"""

import numpy as np

from ml_lstm.plots.gates import draw_gates
from studies.harness import CONFIGS, Measurement, Results, Study, Training, percent, run

_SHOTS = (1, 5)
_LAYERS = 5
_GLYPHS = ("--dataset=glyphs", "--image_size=16", "--filters=4", "--hidden_units=4")
_OFTEN = ("--validation_interval=20", "--validation_episodes=5")
_LEARNS_SOONER = (
    f"--flagfile={CONFIGS / 'omniglot_5way_1shot_whole_network.flags'}",
    "--dataset=cifar_fs",
    "--augment=photo",
    "--validation_interval=1000",
)


def trainings(scale: str) -> list[Training]:
    """A run for each number of shots, with the updates of section 5.1 of the paper: 12 for one, 5 for five."""
    if scale == "small":
        flags = (f"--flagfile={CONFIGS / 'base' / 'meta_lstm.flags'}", *_GLYPHS, *_OFTEN)
        return [_training(shots, 20, (*flags, f"--inner_steps={2 + shots}"), 20) for shots in _SHOTS]
    if scale == "hours":
        updates = {1: 12, 5: 5}
        return [_training(shots, 4000, (*_LEARNS_SOONER, f"--inner_steps={updates[shots]}"), 600) for shots in _SHOTS]
    episodes = {1: 75_000, 5: 50_000}
    files = {shots: CONFIGS / f"mini_imagenet_5way_{shots}shot_paper.flags" for shots in _SHOTS}
    return [_training(shots, episodes[shots], (f"--flagfile={files[shots]}",), 600) for shots in _SHOTS]


def _training(shots, episodes, flags, evaluated):
    measured = (
        Measurement("test", (f"--episodes={evaluated}",)),
        Measurement("gates", ("--episodes=10",), "ml_lstm.gates"),
    )
    return Training(f"{shots}_shot", episodes, (*flags, "--n_way=5", f"--k_shot={shots}"), measured)


def table(results: Results) -> list[list[str]]:
    """A row for each layer: its gates, and by how much they change from episode to episode and over the updates."""
    gates = ("forget gate", "input gate")
    head = ["shots (accuracy, %)", "layer", *(f"{gate}{what}" for gate in gates for what in ("", *_CHANGES))]
    rows = []
    for shots in _SHOTS:
        found = results[f"{shots}_shot"]
        forget, take = (np.array(found["gates"][name]) for name in ("forget_gates", "input_gates"))
        for layer, name in enumerate(found["gates"]["layers"]):
            rows.append(
                [f"{shots} ({percent(found['test'])})", name, *_row(forget[..., layer]), *_row(take[..., layer])]
            )
    return [head, *rows]


_CHANGES = (" by episode, %", " by update, %")


def _row(values):
    """A row for a gate [N, T]: its mean, and standard deviations between episodes and over updates relative to it."""
    mean = values.mean()
    between, over = values.std(axis=0).mean(), values.mean(axis=0).std()
    return f"{mean:.4f}", f"{100 * between / mean:.3f}", f"{100 * over / mean:.3f}"


def draw(results: Results, axes) -> None:
    """Two rows of panels for each number of shots, forget and input gates: a panel a layer, a curve an episode."""
    for row, shots in zip((0, 2), _SHOTS, strict=True):
        found = results[f"{shots}_shot"]["gates"]
        draw_gates(axes[row : row + 2], found["layers"], found["forget_gates"], found["input_gates"])
        for panel in axes[row : row + 2, 0]:
            panel.set_ylabel(f"{shots}-shot, {panel.get_ylabel()}")


STUDY = Study(
    name="gates",
    title="Gates of the LSTM meta-learner over the updates",
    question="""How does the learned optimizer behave? The figure shows the forget gate and the input gate of one
randomly drawn parameter of each layer over the updates in ten test episodes, for a meta-learner of 1-shot and one of
5-shot problems; figure 2 of Ravi & Larochelle (ICLR 2017) and appendix B of Furrer, Erginbaş & Kayaalp. The table has
the mean of each gate, and its standard deviations between episodes (mean over the updates) and over the updates (of the
mean over the episodes), in % of the mean. There are 12 and 5 updates, as in section 5.1 of the former. `paper` uses its
mini-ImageNet; `hours` uses CIFAR-FS, with a setting in which the whole network learns sooner
(`configs/omniglot_5way_1shot_whole_network.flags`). `python -m ml_lstm.gates --run_dir=RUN --png=FILE` draws the same
for any run.""",
    paper="""Ravi & Larochelle, section 5.2, in words: forget gates amount to "a simple weight decay strategy that seems
consistent across different layers"; input gates are harder to read, but with "a lot of variability between different
datasets, indicating that the meta-learner isn't simply learning a fixed optimization strategy", and they differ between
1-shot and 5-shot. Furrer et al. show the same curves without a comment.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(2 * len(_SHOTS), _LAYERS),
)

if __name__ == "__main__":
    run(STUDY)
