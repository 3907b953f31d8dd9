"""Few classes to meta-train on: python -m studies.few_classes --data_dir=DIR --out=DIR"""

from studies.harness import CONFIGS, Measurement, Results, Study, Training, percent, run

_METHODS = {
    "meta_lstm, default": (),
    "meta_lstm, one step": (f"--flagfile={CONFIGS / 'base' / 'meta_lstm_fast.flags'}",),
    "prototypical": ("--method=prototypical",),
}
_PIXELS = "pixel_nearest_neighbour"
_SCALES = {
    "small": ("glyphs", (4, 16), 60, ("--validation_interval=30", "--validation_episodes=10"), ("--episodes=50",)),
    "hours": ("cifar_fs", (4, 8, 16), 4000, (), ()),
    "paper": ("cifar_fs", (4, 8, 16), 40000, (), ()),
}


def trainings(scale: str) -> list[Training]:
    """A run for each method and number of classes, and one of pixels, which needs no training."""
    dataset, classes, episodes, more, evaluation = _SCALES[scale]
    measured = Measurement("test", evaluation), Measurement("train", ("--split=train", *evaluation))
    problem = (f"--dataset={dataset}", "--image_size=32", "--n_way=3", "--k_shot=1")
    pixels = Training(_PIXELS, 0, (f"--method={_PIXELS}", *problem), measured[:1])
    return [
        *(
            Training(
                _run_name(method, most),
                episodes,
                (*_METHODS[method], *problem, *more, f"--max_train_classes={most}"),
                measured,
            )
            for most in classes
            for method in _METHODS
        ),
        pixels,
    ]


def _run_name(method, classes):
    return f"{method.replace(', ', '_').replace(' ', '_')}_{classes}_classes"


def _classes(results):
    return sorted({of["test"]["flags"]["max_train_classes"] for name, of in results.items() if name != _PIXELS})


def table(results: Results) -> list[list[str]]:
    """A row for each method: on new classes, and on those of meta-training."""
    classes = _classes(results)
    head = ["method", "classes", *(f"{most} trained on" for most in classes)]
    rows = [
        [method, which, *(percent(results[_run_name(method, most)][measured]) for most in classes)]
        for method in _METHODS
        for measured, which in (("test", "new"), ("train", "trained on"))
    ]
    return [head, *rows, [_PIXELS, "new", *[percent(results[_PIXELS]["test"])] * len(classes)]]


def draw(results: Results, axes) -> None:
    """A line for each method, dashed on the classes of meta-training."""
    classes = _classes(results)
    for number, method in enumerate(_METHODS):
        for measured, style, which in (("test", "-o", "new classes"), ("train", "--", "those trained on")):
            accuracies = [100 * results[_run_name(method, most)][measured]["accuracy"] for most in classes]
            axes.plot(classes, accuracies, style, color=f"C{number}", label=f"{method}, {which}")
    pixels = 100 * results[_PIXELS]["test"]["accuracy"]
    axes.axhline(pixels, color="grey", linewidth=1, label=f"{_PIXELS}, new classes")
    axes.set_xscale("log", base=2)
    axes.set_xticks(classes, map(str, classes))
    axes.set_xlabel("classes meta-trained on")
    axes.set_ylabel("accuracy, 3-way 1-shot, %")


STUDY = Study(
    name="few_classes",
    title="Few classes to meta-train on",
    question="""A user's own folder may have ten classes, of which four to six are left to meta-train on. Methods are
meta-trained on 4, 8 or 16 classes of CIFAR-FS and tested on problems of three new classes with one image each: the LSTM
meta-learner with the default options of `train` (section 3 of Ravi & Larochelle, ICLR 2017), the same with one large
step from a shared head (`configs/base/meta_lstm_fast.flags`), and Prototypical Networks, beside the nearest image by
pixels. The accuracy on problems of the meta-training classes themselves shows whether a method overfits or has not
learned at all.""",
    findings="""With four classes all methods learn these by heart: on problems of them they are far better than on new
classes, where the three differ by two percentage points and stand three to five above pixels. So neither the default
options nor the start of the LSTM meta-learner is at fault there, and no other method helps: there is too little to
learn from. With more classes the gap closes, and Prototypical Networks gain most. With 16, both forms of the LSTM
meta-learner are less accurate than Prototypical Networks on new classes, and by even more on those trained on: they do
not overfit more, they have learned less in 4,000 episodes. One large step is no remedy with four or eight classes; with
16 it is about as good as the default.""",
    trainings=trainings,
    table=table,
    draw=draw,
)

if __name__ == "__main__":
    run(STUDY)
