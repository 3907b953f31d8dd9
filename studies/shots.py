"""More shots and more steps than trained: python -m studies.shots --data_dir=DIR --out=DIR"""

from studies.harness import CONFIGS, Measurement, Results, Study, Training, percent, run

_FAMILIES = {
    "meta_lstm": "optimization",
    "maml": "optimization",
    "reptile": "optimization",
    "prototypical": "metric",
    "matching": "metric",
    "relation": "metric",
    "mann": "model",
    "meta_networks": "model",
}
_STYLES = {"optimization": "-o", "metric": "--s", "model": ":^"}
_FILES = {method: f"omniglot_5way_1shot_{method}.flags" for method in _FAMILIES}
_FILES["meta_lstm"] = "omniglot_5way_1shot_whole_network.flags"
# As for the LSTM meta-learner: five steps that change the whole network.
_MORE = {"maml": ("--noshared_head", "--inner_steps=5", "--inner_learning_rate=0.1", "--learner=conv4_centred")}
_TRAINED = 5  # shots, and steps
# Chosen so that each method trains for about the same time.
_EPISODES = {
    "meta_lstm": 1600,
    "maml": 1600,
    "reptile": 6000,
    "prototypical": 6000,
    "matching": 6000,
    "relation": 6000,
    "mann": 24_000,
    "meta_networks": 4000,
}
_PROBLEM = ("--n_way=5", "--train_n_way=5", f"--k_shot={_TRAINED}", "--train_n_query=5")
_CIFAR_FS = ("--dataset=cifar_fs", "--image_size=32", "--augment=photo", "--validation_interval=800")
_GLYPHS = ("--dataset=glyphs", "--image_size=16", "--filters=4", "--validation_interval=20", "--validation_episodes=5")


def trainings(scale: str) -> list[Training]:
    """A run for each method on five-shot problems, tested with other numbers of shots and, if it has any, of steps."""
    if scale == "small":
        return [_training(method, 20, _GLYPHS, (1, 5), (8,), 20) for method in ("meta_lstm", "prototypical")]
    factor, tested = {"hours": (1, 200), "paper": (10, 600)}[scale]
    shots = steps = (1, 2, 5, 10, 20)
    return [_training(method, factor * _EPISODES[method], _CIFAR_FS, shots, steps, tested) for method in _FAMILIES]


def _training(method, episodes, data, shots, steps, tested):
    flags = (f"--flagfile={CONFIGS / _FILES[method]}", *_MORE.get(method, ()), *_PROBLEM, *data)
    of_shots = [Measurement(f"{number}_shots", (f"--k_shot={number}", f"--episodes={tested}")) for number in shots]
    of_steps = [
        Measurement(f"{number}_steps", (f"--inner_steps={number}", f"--episodes={tested}"))
        for number in steps
        if _FAMILIES[method] == "optimization"
    ]
    return Training(method, episodes, flags, (*of_shots, *of_steps))


def _numbers(results, what):
    """The numbers of shots or of steps that any method was tested with."""
    names = {name for of in results.values() for name in of if name.endswith(what)}
    return sorted(int(name.partition("_")[0]) for name in names)


def table(results: Results) -> list[list[str]]:
    """A row for each method; columns for each number of shots, and of inner steps at the training's number of shots."""
    columns = [f"{number}_{what}" for what in ("shots", "steps") for number in _numbers(results, what)]
    head = ["method", "family", *(column.replace("_", " ") for column in columns)]
    return [
        head,
        *(
            [method, _FAMILIES[method], *(percent(of[column]) if column in of else "-" for column in columns)]
            for method, of in results.items()
        ),
    ]


def draw(results: Results, axes) -> None:
    """A panel for shots and one for inner steps, each with a line at the number used in training."""
    for panel, what in zip(axes[0], ("shots", "steps"), strict=True):
        numbers = _numbers(results, what)
        for place, (method, of) in enumerate(results.items()):
            found = [(number, of[f"{number}_{what}"]) for number in numbers if f"{number}_{what}" in of]
            accuracies = [100 * result["accuracy"] for _, result in found]
            if found:
                style = _STYLES[_FAMILIES[method]]
                panel.plot([number for number, _ in found], accuracies, style, color=f"C{place}", label=method)
        panel.axvline(_TRAINED, color="grey", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_xticks(numbers, map(str, numbers))
        panel.minorticks_off()
        panel.set_ylabel("accuracy, 5-way, %")
    axes[0, 0].set_xlabel(f"support images of each class, {_TRAINED} in training")
    axes[0, 1].set_xlabel(f"inner steps with {_TRAINED} images of each class, {_TRAINED} in training")


STUDY = Study(
    name="shots",
    title="More shots and more steps than trained",
    question="""How does accuracy grow with support images, and with inner steps, beyond what was trained? Each method
meta-trains on CIFAR-FS, 5-way 5-shot, for about as long as the others, and answers problems of 1 to 20 shots. The
optimization-based methods also adapt in 1 to 20 steps; in training they take five. For the test over shots, MAML and
the LSTM meta-learner take five steps, and Reptile takes 20, as in its configuration. Options are those of the Omniglot
configurations in `configs/`, except that MAML takes five steps that change the whole network, like the LSTM
meta-learner.""",
    trainings=trainings,
    table=table,
    draw=draw,
    panels=(1, 2),
)

if __name__ == "__main__":
    run(STUDY)
