"""Fast weights for an untrained base learner: python -m studies.fixed_learner --data_dir=DIR --out=DIR"""

from studies.harness import Measurement, Results, Study, Training, percent, run

_METHOD = ("--method=meta_networks", "--base_learner=convolutions", "--n_way=5", "--k_shot=1", "--clip_norm=10")
_OMNIGLOT = ("--dataset=omniglot", "--noomniglot_validation", "--image_size=28", "--n_query=5")
# Meta-training episodes, filters of the new base learners by name, flags of train, and of evaluate.
_SCALES = {
    "small": (
        (10, 20),
        {"small": 4, "big": 8},
        (
            *("--dataset=glyphs", "--image_size=16", "--n_query=2", "--filters=4", "--base_filters=4"),
            *("--meta_units=4", "--task_examples=2", "--validation_interval=10", "--validation_episodes=2"),
        ),
        ("--episodes=10",),
    ),
    "hours": (
        (400, 1600, 4800),
        {"small": 32, "big": 128},
        (*_OMNIGLOT, "--validation_interval=400", "--validation_episodes=20"),
        ("--episodes=200",),
    ),
    "paper": (
        (400, 6800, 13200, 19600, 26000),
        {"small": 32, "big": 128},
        (*_OMNIGLOT, "--validation_interval=400", "--validation_episodes=20"),
        ("--episodes=400",),
    ),
}
_LINES = {"target": "trained with the rest", "small": "small, random and fixed", "big": "big, random and fixed"}


def trainings(scale: str) -> list[Training]:
    """A run for each number of meta-training episodes, otherwise equal, with three tests each."""
    episodes, new, flags, evaluation = _SCALES[scale]
    measured = [Measurement("target", evaluation)]
    measured += [Measurement(name, (*evaluation, f"--new_base_filters={filters}")) for name, filters in new.items()]
    return [Training(f"trials_{number}", number, (*_METHOD, *flags), measured) for number in episodes]


def _trials(results):
    return sorted(int(name.removeprefix("trials_")) for name in results)


def _filters(results, line):
    of_line = next(iter(results.values()))[line]
    return of_line.get("new_base_filters", of_line["flags"]["base_filters"])


def table(results: Results) -> list[list[str]]:
    """A row for each base learner."""
    trials = _trials(results)
    head = ["base learner", "filters", *(f"{number} trials" for number in trials)]
    return [
        head,
        *(
            [words, str(_filters(results, line)), *(percent(results[f"trials_{number}"][line]) for number in trials)]
            for line, words in _LINES.items()
        ),
    ]


def draw(results: Results, axes) -> None:
    """A line for each base learner over meta-training."""
    trials = _trials(results)
    for line, words in _LINES.items():
        found = [results[f"trials_{number}"][line] for number in trials]
        axes.errorbar(
            trials,
            [100 * each["accuracy"] for each in found],
            [100 * each["confidence_interval_95"] for each in found],
            fmt="-o",
            label=f"{words}, {_filters(results, line)} filters",
        )
    axes.set_xlabel("meta-training trials")
    axes.set_ylabel("accuracy, 5-way 1-shot, %")


STUDY = Study(
    name="fixed_learner",
    title="Fast weights for an untrained network",
    question="""Can the networks that were meta-trained to compute fast weights for one base learner compute them for
another? Munkhdalai & Yu, *Meta Networks* (ICML 2017), section 4.2.2: MetaNet with a convolutional base learner is
meta-trained on Omniglot, 5-way 1-shot. For evaluation the base learner is replaced by a new one of 32 or 128 filters,
whose random slow weights stay unchanged; the study also evaluates the base learner that was trained with the rest. It
tests after several numbers of meta-training trials, each time with the weights that were best in meta-validation so
far.""",
    paper="""Figure 3, from 400 to 26,000 trials: the base learner that was trained with the rest is best; the gap to
the fixed ones, with 32 and with 128 filters, is large early in meta-training and closes as trials continue. The text
gives no numbers. Our sources do not say how many filters the trained one has; here it has 32.""",
    trainings=trainings,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    run(STUDY)
