"""Augmented images in meta-training: python -m studies.augmentation --data_dir=DIR --out=DIR"""

from studies import furrer
from studies.harness import Results, Study, Training, run

_NAMES = {"augmented": furrer.name(augmented=True), "unchanged": furrer.name(augmented=False)}
_PUBLISHED = {"augmented": "61.1 ± 0.69", "unchanged": "57.7 ± 0.67"}


def trainings(scale: str) -> list[Training]:
    """A run with augmentation, and one without."""
    return [furrer.training(scale, augmented=augmented) for augmented in (True, False)]


def table(results: Results) -> list[list[str]]:
    """A row with augmentation and one without, beside table IV of the source."""
    return furrer.table("meta-training images", _NAMES, results, _PUBLISHED)


def draw(results: Results, axes) -> None:
    """Learning curves, with augmentation and without."""
    furrer.draw(_NAMES, results, axes)


STUDY = Study(
    name="augmentation",
    title="Augmented images",
    question=f"""Does the LSTM meta-learner overfit less if the meta-training images are cropped, stretched, mirrored
and coloured at random (`--augment=photo`)? The source crops, stretches and colours them, after Szegedy et al. 2015.
{furrer.SOURCE}, section III-E, table IV, figure 2.

{furrer.SETTING}""",
    paper="""On mini-ImageNet, 5-way 5-shot after 100,000 episodes: 61.1 % with augmentation, 57.7 % without. Without it
the method fits the training images too closely, and does not generalise well enough to test classes.""",
    findings="""After 4,000 episodes we see the opposite: augmentation costs 2 points, on new classes and on those of
meta-training alike. Both runs still learn, neither overfits, and augmented images are harder to learn from. The
distance between the two kinds of classes is about the same, 9.5 and 9.8 points. This says nothing about long training,
where the source finds the gain. Each was trained once.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(1, 2),
)

if __name__ == "__main__":
    run(STUDY)
