"""N-way training, K-way testing: python -m studies.ways --data_dir=DIR --out=DIR [--methods=NAME,NAME]"""

from collections.abc import Sequence

from absl import flags

from ml_lstm.errors import UserError
from studies.harness import CONFIGS, Measurement, Results, Study, Training, percent, run

FLAGS = flags.FLAGS
METHODS = ("meta_networks", "prototypical")

# Table 4 of Munkhdalai & Yu, by classes of training and of the test; the value for 100 classes is from the text.
_PUBLISHED = {
    5: {5: 98.95, 10: 96.4, 15: 93.6, 20: 93.07},
    10: {5: 99.25, 10: 96.87, 15: 96.95, 20: 96.21, 100: 65},
    15: {5: 99.35, 10: 98.17, 15: 97.11, 20: 96.36},
    20: {5: 99.55, 10: 98.87, 15: 97.41, 20: 97.0},
}
_FILE = "omniglot_5way_1shot_{}.flags"
_WAYS = (5, 10, 15, 20)
_GLYPHS = ("--dataset=glyphs", "--image_size=16", "--filters=4", "--validation_interval=20", "--validation_episodes=5")
_SCALES = {
    "small": ((5,), (5, 10), 20, 20, _GLYPHS),
    "hours": (_WAYS, (*_WAYS, 100), 3000, 200, ("--validation_interval=1000",)),
    "paper": (_WAYS, (*_WAYS, 100), 30_000, 400, ()),
}


def trainings(scale: str, methods: Sequence[str] = METHODS) -> list[Training]:
    """A run for each method and number of classes, tested on each number of classes.

    Args:
        scale: see `Study`.
        methods: some of those that have a file for Omniglot in `configs/`.

    Raises:
        UserError: for a method without such a file.
    """
    known = sorted(path.name[len("omniglot_5way_1shot_") : -len(".flags")] for path in CONFIGS.glob(_FILE.format("*")))
    for method in methods:
        if method not in known:
            raise UserError(f"--methods={method} has no file in configs/: give some of {', '.join(known)}.")
    trained, tested, episodes, of_test, more = _SCALES[scale]
    measured = [
        Measurement(f"{ways}_way", (f"--n_way={ways}", "--n_query=5", f"--episodes={of_test}"), "studies.up_to_limit")
        for ways in tested
    ]
    return [
        Training(
            f"{method}_{ways}_way",
            episodes,
            (f"--flagfile={CONFIGS / _FILE.format(method)}", f"--n_way={ways}", f"--train_n_way={ways}", *more),
            measured,
        )
        for method in methods
        for ways in trained
    ]


def _parts(run_name):
    """`(method, classes of training)`."""
    method, ways, _ = run_name.rsplit("_", 2)
    return method, int(ways)


def _tested(results):
    return [int(name.partition("_")[0]) for name in next(iter(results.values()))]


def table(results: Results) -> list[list[str]]:
    """A row for each method and number of classes in training; for Meta Networks with the paper's figures."""
    head = ["method", "trained on", *(f"{ways}-way" for ways in _tested(results))]
    rows = []
    for name, of in results.items():
        method, trained = _parts(name)
        cells = [_cell(of[f"{ways}_way"], method, trained, ways) for ways in _tested(results)]
        rows.append([method, f"{trained}-way", *cells])
    return [head, *rows]


def _cell(result, method, trained, tested):
    if "accuracy" not in result:
        return f"at most {result['most_classes']} classes"
    published = _PUBLISHED.get(trained, {}).get(tested) if method == "meta_networks" else None
    return percent(result) + (f" (paper: {published:g})" if published else "")


def draw(results: Results, axes) -> None:
    """A line for each run over the number of classes of the test, up to the run's limit."""
    methods = list(dict.fromkeys(_parts(name)[0] for name in results))
    ways = sorted({_parts(name)[1] for name in results})
    for name, of in results.items():
        method, trained = _parts(name)
        found = [(tested, of[f"{tested}_way"]) for tested in _tested(results) if "accuracy" in of[f"{tested}_way"]]
        axes.plot(
            [tested for tested, _ in found],
            [100 * result["accuracy"] for _, result in found],
            ("-o", "--s", ":^", "-.v")[methods.index(method) % 4],
            color=f"C{ways.index(trained)}",
            label=f"{method}, {trained}-way training",
        )
    axes.set_xscale("log")
    axes.set_xticks(_tested(results), map(str, _tested(results)))
    axes.minorticks_off()
    axes.set_xlabel("classes of a test problem")
    axes.set_ylabel("accuracy, 1-shot, %")


STUDY = Study(
    name="ways",
    title="N-way training, K-way testing",
    question="""Can a method answer problems of more classes than it was trained on, and does it help to train on more
classes than the test has? Methods are trained on 1-shot problems of 5, 10, 15 or 20 characters of Omniglot (Vinyals'
classes), and tested on each of these numbers and on 100, with five queries for each class; section 4.2.1 and table 4 of
Munkhdalai & Yu, *Meta Networks* (ICML 2017). `--methods=mann,relation` takes other methods than those of the table; for
a method that answers only as many classes as it was trained on, the table gives this limit.""",
    paper="""Meta Networks (table 4): trained on fewer classes than in the test, accuracy falls, 93.07 % of 20-way
problems after 5-way training against 97.0 % after 20-way training; trained on more it rises, 99.55 % of 5-way problems
after 20-way training against 98.95 % after 5-way training. Trained on 10 classes it has "around 65%" with 100.""",
    trainings=trainings,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    flags.DEFINE_list(
        "methods", list(METHODS), "Methods to compare, each with a file configs/omniglot_5way_1shot_NAME.flags."
    )
    run(STUDY._replace(trainings=lambda scale: trainings(scale, FLAGS.methods)))
