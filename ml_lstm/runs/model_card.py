"""What goes with a model wherever it is used: how it came about, and what one should know beforehand."""

from typing import Any

from ml_lstm.command_line import records
from ml_lstm.data.pictures import MAX_PIXELS
from ml_lstm.methods import Calibrated, FewShotClassifier
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.runs.directory import RunDirectory


def model_card(run: RunDirectory, method: FewShotClassifier, train_episodes: int) -> dict[str, Any]:
    """The card of a trained run, as JSON can hold it.

    Among it are `trained_on`, a sentence, and `limits`, sentences for who uses the model. How good it is, `figures`, is
    for the caller to add: a list of what `evaluate` found, and an empty one where nothing was measured.

    Args:
        run: where it was trained.
        method: with its weights.
        train_episodes: how many those are of.
    """
    trained = run.bound()
    return {
        "method": trained["method"],
        "train_episodes": train_episodes,
        "trained_on": _trained_on(run),
        "image_shape": list(run.problem().image_shape),
        **answering(method),
        "flags": trained,
        "commit": records.commit(),
        "limits": limits(run, method),
    }


def answering(method: FewShotClassifier) -> dict[str, Any]:
    """What a card says of the answers: of how many classes, after how many inner steps, and whether with `familiarity`.

    Args:
        method: as it answers.
    """
    return {
        "most_classes": method.most_classes,
        "inner_steps": method.served_inner_steps,
        "familiarity": isinstance(method, Calibrated),
    }


def _trained_on(run):
    classes, source = run.problem().train_classes, run.bound()["dataset"]
    count = "" if classes is None else f"{classes:,} "
    return f"The {count}meta-training classes of {'a folder of pictures' if source == 'folder' else source}."


def classes_in_words(method: FewShotClassifier) -> str:
    """How many classes a support set may have."""
    return "any number of classes" if method.most_classes is None else f"at most {method.most_classes} classes"


def _most_in_training(run, method):
    if isinstance(method, Calibrated):
        method = method.method
    classes = run.problem().train_classes  # None of an older run
    if isinstance(method, JointlyTrained) and classes:
        return f"training told {classes:,} apart at once"
    return f"meta-training had up to {method.n_way}"


def limits(run: RunDirectory, method: FewShotClassifier) -> list[str]:
    """What the one who uses a model should know beforehand, in sentences.

    Args:
        run: where it was trained.
        method: with its weights.
    """
    height, width, channels = run.problem().image_shape
    of_none = ": none stands for something else."
    if isinstance(method, Calibrated):
        of_none = (
            "; a familiarity below 0.05 says that it is probably of none of them, as it does of 5 % of those that are."
        )
    return [
        f"{classes_in_words(method).capitalize()} in a support set; {_most_in_training(run, method)}.",
        f"Images are resized to {height}x{width} pixels of {channels} channel(s), whatever their proportions; an "
        f"encoded image may have at most {MAX_PIXELS} pixels.",
        f"Meta-trained on {run.bound()['dataset']}: on other kinds of images expect less than was measured there.",
        f"Every query gets one of the support set's classes{of_none}",
    ]
