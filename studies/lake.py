"""One-shot classification compared with people: python -m studies.lake --data_dir=DIR --out=DIR"""

from absl import flags

from ml_lstm.data import one_shot_runs
from studies.harness import CONFIGS, Measurement, Results, Study, Training, run

FLAGS = flags.FLAGS

_PIXELS = "pixel_nearest_neighbour"
_METHODS = {
    "prototypical": ("omniglot_5way_1shot_prototypical_long", ()),
    "prototypical, within alphabets": ("omniglot_5way_1shot_prototypical_long", ("--within_alphabets",)),
    "meta_networks": ("omniglot_5way_1shot_meta_networks", ("--train_n_way=20",)),
    "siamese": ("omniglot_5way_1shot_siamese", ()),
    _PIXELS: ("omniglot_5way_1shot_pixel_nearest_neighbour", ()),
}
_BACKGROUND = ("--omniglot_protocol=lake", "--noomniglot_validation")
_TINY = ("--filters=8", "--train_n_way=5", "--validation_interval=20", "--validation_episodes=5", "--n_query=5")
# Episodes of each, and flags for its size.
_SCALES = {
    "small": ({"prototypical, within alphabets": 40, "meta_networks": 20, _PIXELS: 0}, _TINY),
    "hours": (dict(zip(_METHODS, (12000, 12000, 5000, 8000, 0), strict=True)), ("--filters=32",)),
    "paper": (dict(zip(_METHODS, (30000, 30000, 28000, 30000, 0), strict=True)), ()),
}

# Errors in %, from table 3 of Munkhdalai & Yu (2017), which gives accuracies.
_PUBLISHED = {
    "Bayesian program learning": 3.3,
    "people": 4.5,
    "affine model": 18.2,
    "deep Boltzmann machine": 38.0,
    "meta_networks": 4.08,
    "siamese": 8.0,
    _PIXELS: 78.3,
}

_TICKS = (1, 2, 5, 10, 20, 50, 100)


def trainings(scale: str, all_runs: str | None = None) -> list[Training]:
    """A run for each method of that scale, on the characters of the 30 background alphabets.

    Args:
        scale: one of SCALES.
        all_runs: path of Omniglot's all_runs.zip; None: runs are drawn.
    """
    episodes, size = _SCALES[scale]
    measured = (
        Measurement("all_runs", (f"--all_runs={all_runs}",), "studies.lake_trials")
        if all_runs
        else Measurement("drawn_runs", (), "studies.lake_trials")
    )
    return [
        Training(
            _run_name(method), episodes[method], (*_flags(method), *(size if episodes[method] else ())), (measured,)
        )
        for method in episodes
    ]


def _flags(method):
    config, more = _METHODS[method]
    return f"--flagfile={CONFIGS / config}.flags", *_BACKGROUND, *more


def _run_name(method):
    return method.replace(", ", "_").replace(" ", "_")


def _errors(results):
    """The measured result of each method."""
    return {
        method: next(iter(results[_run_name(method)].values())) for method in _METHODS if _run_name(method) in results
    }


def _interval(result):
    low, high = result["interval_95"]
    return f"{100 * low:.1f} to {100 * high:.1f}"


def table(results: Results) -> list[list[str]]:
    """A row for each method, and for each other published one."""
    found = _errors(results)
    rows = [
        [
            name,
            *([f"{100 * found[name]['error']:.2f}", _interval(found[name])] if name in found else ["", ""]),
            str(_PUBLISHED.get(name, "")),
        ]
        for name in {**found, **_PUBLISHED}
    ]
    runs = "drawn" if next(iter(found.values()))["all_runs"] is None else "published"
    return [["", f"error, %, {runs} runs", "95 % interval", "error in the papers, %"], *rows]


def draw(results: Results, axes) -> None:
    """A point with its interval and the paper's result for each method, and lines for methods not measured here."""
    found = _errors(results)
    for place, (method, result) in enumerate(found.items()):
        error, low, high = (100 * value for value in (result["error"], *result["interval_95"]))
        axes.errorbar(error, place, xerr=[[error - low], [high - error]], fmt="o", color="C0", capsize=3)
        if method in _PUBLISHED:
            axes.plot(_PUBLISHED[method], place, "D", color="black")
    others = {name: error for name, error in _PUBLISHED.items() if name not in found}
    for number, (name, error) in enumerate(others.items(), start=1):
        axes.axvline(error, color=f"C{number}", linestyle="--", label=f"{name}, {error} %")
    axes.plot([], [], "D", color="black", label="in the papers")
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, map(str, _TICKS))
    axes.set_xlim(1, 100)
    axes.set_yticks(range(len(found)), found)
    axes.invert_yaxis()
    axes.set_xlabel("error, 20-way 1-shot within an alphabet, %")
    axes.legend()


STUDY = Study(
    name="lake",
    title="One-shot classification compared with people",
    question="""The task is that of Lake et al. (Science 2015) for people: twenty characters of an alphabet that was not
trained on, one drawing of each by one person, and twenty drawings of the same characters by another person to be
recognised; twenty such runs, 400 trials (section 4.3 of Koch et al. 2015 has the rule). Training uses the 964
characters of the 30 background alphabets; Prototypical Networks are also trained on problems of one alphabet each. Each
method is exported, and the SavedModel alone answers. `--all_runs=FILE` takes the original runs of people,
`all_runs.zip` of github.com/brendenlake/omniglot, `python/one-shot-classification`; without it runs are drawn by the
same rule, with other alphabets, characters and drawers.""",
    paper="""Table 3 of Munkhdalai & Yu (ICML 2017): people 4.5 % wrong, Bayesian program learning 3.3 (Lake et al.
2015), Siamese networks 8.0 (Koch et al. 2015), Meta Networks 4.08, pixels 78.3. Meta Networks were tested on 400 tasks
of the evaluation classes; the paper does not say that these are of one alphabet each.""",
    trainings=trainings,
    table=table,
    draw=draw,
)


def _trainings_of_flags(scale):
    if FLAGS.all_runs:
        one_shot_runs.published(FLAGS.all_runs)  # reports a bad file now, not after the first training
    return trainings(scale, FLAGS.all_runs)


if __name__ == "__main__":
    flags.DEFINE_string("all_runs", None, "Omniglot's all_runs.zip. Unset: runs are drawn by its rule.")
    run(STUDY._replace(trainings=_trainings_of_flags))
