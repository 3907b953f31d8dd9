"""The card that accompanies a model: how it was trained, and what its users should know."""

from typing import Any

from ml_lstm.command_line import records
from ml_lstm.data.pictures import MAX_PIXELS
from ml_lstm.methods import Calibrated, FewShotClassifier
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.runs.directory import RunDirectory


def model_card(run: RunDirectory, method: FewShotClassifier, train_episodes: int) -> dict[str, Any]:
    """The card of a trained run, as a JSON value.

    It includes `trained_on`, a sentence, and `limits`, sentences for users of the model. The caller adds `figures`,
    the model's accuracy: a list of results of `evaluate`, empty if nothing was measured.

    Args:
        run: where it was trained.
        method: with its weights.
        train_episodes: number of episodes these weights were trained for.
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
    """The fields of a card about answers: the number of classes, of inner steps, and whether there is `familiarity`.

    Args:
        method: as it is served.
    """
    return {
        "most_classes": method.most_classes,
        "inner_steps": method.served_inner_steps,
        "familiarity": isinstance(method, Calibrated),
    }


def _trained_on(run):
    classes, source = run.problem().train_classes, run.bound()["dataset"]
    count = "" if classes is None else f"{classes:,} "
    return f"The {count}meta-training classes of {'a folder of images' if source == 'folder' else source}."


def classes_in_words(method: FewShotClassifier) -> str:
    """The number of classes allowed in a support set, in words."""
    return "any number of classes" if method.most_classes is None else f"at most {method.most_classes} classes"


def _most_in_training(run, method):
    if isinstance(method, Calibrated):
        method = method.method
    classes = run.problem().train_classes  # None in an older run
    if isinstance(method, JointlyTrained) and classes:
        return f"training used {classes:,} classes at once"
    return f"meta-training had up to {method.n_way}"


def limits(run: RunDirectory, method: FewShotClassifier) -> list[str]:
    """What users of a model should know before they use it, in sentences.

    Args:
        run: where it was trained.
        method: with its weights.
    """
    height, width, channels = run.problem().image_shape
    of_none = ", even if it belongs to none of them."
    if isinstance(method, Calibrated):
        of_none = (
            "; a familiarity below 0.05 means that it probably belongs to none of them, which is wrong for about 5 % "
            "of the queries that do belong to one."
        )
    return [
        f"{classes_in_words(method).capitalize()} in a support set; {_most_in_training(run, method)}.",
        f"Images are resized to {height}x{width} pixels of {channels} channel(s), whatever their proportions; an "
        f"encoded image may have at most {MAX_PIXELS} pixels.",
        f"Meta-trained on {run.bound()['dataset']}: on other kinds of images, expect lower accuracy than measured.",
        f"Every query gets one of the support set's classes{of_none}",
    ]
