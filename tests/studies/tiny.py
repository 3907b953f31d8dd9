"""A study that takes seconds: python -m tests.studies.tiny --out=DIR"""

from studies.harness import Measurement, Study, Training, run

_FLAGS = ("--dataset=glyphs", "--method=prototypical", "--filters=2", "--image_size=16", "--validation_interval=20")
_TEST = (Measurement("test", ("--episodes=20",)),)

STUDY = Study(
    name="tiny",
    title="Seeds",
    question="Do seeds matter?",
    trainings=lambda scale: [
        Training(f"seed_{seed}", 60, (*_FLAGS, "--validation_episodes=5", f"--seed={seed}"), _TEST) for seed in (0, 1)
    ],
    table=lambda results: [
        ["seed", "accuracy"],
        *([name, str(of["test"]["accuracy"])] for name, of in results.items()),
    ],
    draw=lambda results, axes: axes.plot([of["test"]["accuracy"] for of in results.values()], label="accuracy"),
    findings=lambda results: "They do.",
)

if __name__ == "__main__":
    run(STUDY)
