"""Learning another problem without forgetting: python -m studies.continual --data_dir=DIR --out=DIR"""

from statistics import mean, stdev

from studies.harness import Measurement, Results, Study, Training, run

_COMMAND = "studies.continual_training"
_MLPS = ("--method=meta_networks", "--embedding_network=mlp", "--base_learner=mlp", "--n_way=5", "--k_shot=1")
_OMNIGLOT = ("--dataset=omniglot", "--noomniglot_validation", "--clip_norm=10", "--n_query=5")
_MNIST = "--second=dataset=mnist"
# Repeats, first episodes, episodes of a step, steps, flags.
_SCALES = {
    "small": (
        2,
        20,
        10,
        2,
        (
            *("--dataset=glyphs", "--second=dataset=glyphs,glyphs_seed=1", "--image_size=16", "--n_query=2"),
            *("--embedding_units=8", "--base_units=8", "--meta_units=4", "--task_examples=2", "--test_episodes=20"),
            "--validation_episodes=2",
        ),
    ),
    "hours": (
        5,
        1200,
        400,
        7,
        (*_OMNIGLOT, _MNIST, "--image_size=20", "--task_examples=2", "--validation_episodes=2", "--test_episodes=200"),
    ),
    "paper": (
        5,
        26000,
        400,
        19,
        (*_OMNIGLOT, _MNIST, "--image_size=28", "--validation_episodes=2", "--test_episodes=400"),
    ),
}
# Munkhdalai & Yu 2017, section 4.2.3, % after the last trials: the difference, and the accuracy in meta-training.
_PUBLISHED = {2400: ("above 0", "over 72"), 2800: ("falling", ""), 7600: ("-1.7", "over 90")}


def trainings(scale: str) -> list[Training]:
    """A run for each repeat."""
    repeats, episodes, step, steps, more = _SCALES[scale]
    return [
        Training(
            f"seed_{seed}",
            episodes,
            (*_MLPS, *more, f"--seed={seed}", f"--step={step}", f"--second_episodes={step * steps}"),
            (Measurement("continual", command=_COMMAND),),
            command=_COMMAND,
        )
        for seed in range(repeats)
    ]


def _trials(results):
    return sorted(int(done) for done in next(iter(results.values()))["continual"]["steps"])


def _differences(results, trials):
    """The differences of each repeat, in percentage points."""
    found = [of["continual"] for of in results.values()]
    return [100 * (each["steps"][str(trials)]["after"] - each["before"]) for each in found]


def _trained(results, trials):
    return 100 * mean(of["continual"]["steps"][str(trials)]["train_accuracy"] for of in results.values())


def table(results: Results) -> list[list[str]]:
    """A row for each number of trials on the second problem."""
    before = [100 * of["continual"]["before"] for of in results.values()]
    head = ["trials of the second problem", "change of accuracy on the first, points", "published"]
    head += ["accuracy in meta-training on the second, %", "published"]
    rows = [["0", f"{mean(before):.2f} ± {stdev(before):.2f} % before", "", "", ""]]
    for trials in _trials(results):
        differences, published = _differences(results, trials), _PUBLISHED.get(trials, ("", ""))
        words = f"{mean(differences):+.2f} ± {stdev(differences):.2f}"
        rows.append([str(trials), words, published[0], f"{_trained(results, trials):.1f}", published[1]])
    return [head, *rows]


def draw(results: Results, axes) -> None:
    """The mean difference with its standard deviation, and each repeat; and meta-training on the second problem."""
    trials = _trials(results)
    differences = [_differences(results, each) for each in trials]
    of_first, of_second = axes.flat
    of_first.plot(trials, differences, ".", color="grey", markersize=4)
    means, deviations = [mean(each) for each in differences], [stdev(each) for each in differences]
    of_first.errorbar(trials, means, deviations, fmt="-o", label=f"mean of {len(results)} repeats, standard deviation")
    of_first.axhline(0, color="grey", linewidth=1)
    of_first.set_ylabel("change of accuracy on the first problem, points")
    of_second.plot(trials, [_trained(results, each) for each in trials], "-o", label=f"mean of {len(results)} repeats")
    of_second.set_ylabel("accuracy in meta-training on the second problem, %")
    for panel in axes.flat:
        panel.set_xlabel("trials of the second problem")


STUDY = Study(
    name="continual",
    title="One problem after another",
    question="""Do the networks that compute fast weights forget one problem when they are trained on the next?
Munkhdalai & Yu, *Meta Networks* (ICML 2017), section 4.2.3: meta-training on Omniglot, then on MNIST, whose ten digits
become 500 classes by 50 shuffles of the pixels. Each problem has its own embedding and base learner, of three dense
layers with 64 units. The networks m and d, which compute the fast weights, are passed on. After each 400 MNIST trials
Omniglot is tested again with the current m and d, and its earlier accuracy is subtracted; five repeats, 5-way 1-shot.
The paper starts from scratch for each number of trials; here they are steps of one training. The base learner works on
the pixels.""",
    paper="""Figure 4: differences from -1.7 to +1.24 points; above 0 up to 2400 MNIST trials, when meta-training on
MNIST has over 72 %, falling from 2800 on, and -1.7 after 7600, when it has over 90 %. The paper does not say how long
it trained on Omniglot; `paper` uses 26,000 trials, where figure 3 ends.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(1, 2),
)

if __name__ == "__main__":
    run(STUDY)
