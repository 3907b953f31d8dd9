"""Hidden units of the learned optimizer: python -m studies.hidden_size --data_dir=DIR --out=DIR"""

from studies import furrer
from studies.harness import Results, Study, Training, run

_SIZES = {"small": (1, 4), "hours": (1, 4, 20, 50), "paper": (1, 4, 20, 50)}


def trainings(scale: str) -> list[Training]:
    """A run for each number of hidden units."""
    return [furrer.training(scale, hidden_units=size) for size in _SIZES[scale]]


def _names(results):
    names = {str(size): furrer.name(hidden_units=size) for size in _SIZES["paper"]}
    return {label: name for label, name in names.items() if name in results}


def table(results: Results) -> list[list[str]]:
    """A row for each number of hidden units."""
    return furrer.table("hidden units", _names(results), results)


def draw(results: Results, axes) -> None:
    """Learning curves, a line for each number of hidden units."""
    furrer.draw({f"{label} hidden": name for label, name in _names(results).items()}, results, axes)


STUDY = Study(
    name="hidden_size",
    title="Hidden units and overfitting",
    question=f"""Does a learned optimizer with more hidden units overfit the classes that it is meta-trained on? The
study compares the LSTM meta-learner with 1, 4, 20 (as in Ravi & Larochelle) and 50 hidden units. {furrer.SOURCE},
section III-D, figure 1.

{furrer.SETTING} Images are not augmented.""",
    paper="""With many hidden units the accuracy on test classes falls again after a maximum, while that on training
classes continues to rise, at about the same rate for every size. Neither a lower learning rate nor clipped gradients
helped; fewer hidden units did. The source shows this as curves, without numbers.""",
    findings="""After 4,000 episodes there is no overfitting to see yet: the curves on new classes still rise, or are
flat with 4 units, 8 to 10 points below those on meta-training classes, and the distance is no larger for 50 units than
for 20. One hidden unit is enough to learn; 20 are the best here, 2 points better than 1 or 4. The source's advice of
fewer units is about training that is 25 times as long. Each size was trained once.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(1, 2),
)

if __name__ == "__main__":
    run(STUDY)
