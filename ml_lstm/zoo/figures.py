"""Adds results of `evaluate` to a model's card: python -m ml_lstm.zoo.figures --model=NAME --results=FILE,FILE"""

from pathlib import Path

from absl import flags, logging

from ml_lstm.command_line import command
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.runs import evaluations
from ml_lstm.zoo.entries import find

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `zoo.figures`."""
    flags.DEFINE_string("model", None, "The model, or DIR/NAME of a directory that zoo.add wrote.")
    flags.DEFINE_list("results", None, "Files that evaluate --model wrote, in docs/results; they replace earlier ones.")
    flags.mark_flags_as_required(["model", "results"])


def main() -> None:
    """Writes the figures, each with the name of its file."""
    entry = find(FLAGS.model)
    figures = [_figure(expanded(path), entry) for path in FLAGS.results]
    entry.write_card(entry.card | {"figures": figures})
    for figure in figures:
        print(
            f"{entry.name}: {figure['dataset']} {figure['split']}, {figure['n_way']}-way {figure['k_shot']}-shot: "
            f"{100 * figure['accuracy']:.2f} % ± {100 * figure['confidence_interval_95']:.2f} ({figure['result']})"
        )


def _figure(path: Path, entry):
    found = evaluations.read_result(path)
    if found["train_episodes"] != entry.card["train_episodes"]:
        raise UserError(
            f"{path} is for weights of {found['train_episodes']} episodes, but {entry.name} has weights of "
            f"{entry.card['train_episodes']}: evaluate --model={entry.name} again."
        )
    if found["inner_steps"]:
        raise UserError(
            f"{path} is for {found['inner_steps']} inner steps, unlike {entry.name}: evaluate --model={entry.name} "
            "again, without --inner_steps."
        )
    return found | {"result": path.name}


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
