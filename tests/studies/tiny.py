"""A study that takes seconds: python -m tests.studies.tiny --out=DIR"""

from studies.harness import Measurement, Study, Training, run

_FLAGS = ("--dataset=glyphs", "--method=prototypical", "--filters=2", "--image_size=16", "--validation_interval=20")
_TEST = (Measurement("test", ("--episodes=20",)),)


def _accuracy(of_training):
    return of_training["test"]["accuracy"]


STUDY = Study(
    name="tiny",
    title="Two seeds",
    question="Does the seed matter?",
    trainings=lambda scale: [
        Training(f"seed_{seed}", 60, (*_FLAGS, "--validation_episodes=5", f"--seed={seed}"), _TEST) for seed in (0, 1)
    ],
    table=lambda results: [["seed", "accuracy"], *([name, str(_accuracy(of))] for name, of in results.items())],
    draw=lambda results, axes: axes.plot([_accuracy(of) for of in results.values()], label="accuracy"),
)

if __name__ == "__main__":
    run(STUDY)
