"""Cells of the learned optimizer: python -m studies.cells --data_dir=DIR --out=DIR"""

from studies import furrer
from studies.harness import Results, Study, Training, run

_CELLS = {"Adaptive SGD": "sgd", "LSTM": "meta_lstm", "Complete-LSTM": "complete_lstm", "GRU": "gru"}
_PUBLISHED = {
    "Adaptive SGD": "55.5 ± 0.70",
    "LSTM": "61.1 ± 0.69",
    "Complete-LSTM": "57.5 ± 0.70",
    "GRU": "59.7 ± 0.67",
}
_NAMES = {label: furrer.name(cell, augmented=True) for label, cell in _CELLS.items()}


def trainings(scale: str) -> list[Training]:
    """A run for each cell."""
    return [furrer.training(scale, cell, augmented=True) for cell in _CELLS.values()]


def table(results: Results) -> list[list[str]]:
    """A row for each cell, beside table III of the source."""
    return furrer.table("cell", _NAMES, results, _PUBLISHED)


def draw(results: Results, axes) -> None:
    """Learning curves, a line for each cell."""
    furrer.draw(_NAMES, results, axes)


STUDY = Study(
    name="cells",
    title="Cells of the learned optimizer",
    question=f"""Is the LSTM of Ravi & Larochelle the best rule to update a learner's parameters? The study compares
adaptive SGD, which learns the initial weights and one step size, the LSTM, the LSTM with an output gate (Complete-LSTM)
and a GRU ([update rules](update_rules.md)); the recurrent cells have 20 hidden units. {furrer.SOURCE}, section III-C,
table III.

{furrer.SETTING} Meta-training images are augmented, as for the source's LSTM.""",
    paper="""On mini-ImageNet, 5-way 5-shot after 100,000 episodes, all recurrent cells are better than adaptive SGD:
LSTM 61.1, GRU 59.7, Complete-LSTM 57.5, adaptive SGD 55.5 %. The source explains the result of Complete-LSTM by
overfitting and that of the GRU by its simpler form. It does not say how many hidden units they had.""",
    findings="""After 4,000 episodes the four cannot be told apart on new classes: 52.0 to 52.8 %, each with an
interval of 0.8. Adaptive SGD learns soonest, and is ahead of all others for 1,000 episodes and near them for the rest.
On meta-training classes the LSTM ends highest, by no more than single runs differ. So these runs neither confirm nor
contradict the source's order, which is of training that is 25 times as long. Each cell was trained once.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(1, 2),
)

if __name__ == "__main__":
    run(STUDY)
