"""Kills train, export and serve, fills a disk, starts two trainers: python -m benchmarks.kills --out=docs/kills.md

Prints each kill and check, writes them to `--out`, and as JSON to results/ beside it. `--seed` determines the moments;
what a kill meets there also depends on how busy the machine is.
"""

import random
import tempfile
from pathlib import Path

import tensorflow as tf
from absl import flags, logging

from benchmarks.kills import exporting, full_disk, moments, serving, training, two_trainers
from benchmarks.kills.commands import Commands
from benchmarks.kills.page import page, problems
from ml_lstm.command_line import command, devices, records
from ml_lstm.errors import UserError

FLAGS = flags.FLAGS
_SETTING = ("seed", "epochs", "train_kills", "export_kills", "serve_kills", "rooms")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("out", None, "Page to write; its JSON goes to results/ beside it. Unset: none.")
    flags.DEFINE_integer("seed", 0, "Seed of the moments.")
    flags.DEFINE_integer("epochs", 12, "Epochs of the run that is killed, with a save after each.", lower_bound=2)
    flags.DEFINE_integer("train_kills", 10, "Number of kills of train.", lower_bound=0)
    flags.DEFINE_integer("export_kills", 6, "Number of kills of export.", lower_bound=0)
    flags.DEFINE_integer("serve_kills", 5, "Number of kills of serve.", lower_bound=0)
    flags.DEFINE_integer("rooms", 2, "How often a disk is full for train and for export.", lower_bound=1)
    flags.DEFINE_string("work_dir", None, "New directory for temporary files; unset: a temporary one.")


def main() -> None:
    """Runs everything, and fails if anything is wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(FLAGS.work_dir or temporary) / "kills"
        work.mkdir(parents=True)
        how, parts = _parts(work)
    setting = {name: getattr(FLAGS, name) for name in _SETTING}
    about = {"tensorflow": tf.__version__, "device": devices.describe(), "commit": records.commit(), "flags": setting}
    result = about | {"full_disk_by": how, "parts": parts}
    if FLAGS.out:
        out = Path(FLAGS.out)
        (out.parent / "results").mkdir(exist_ok=True)
        records.write_json(out.parent / "results" / f"{out.stem}.json", result)
        out.write_text(page(result))
    if wrong := problems(result):
        raise UserError(f"{len(wrong)} things are wrong, the first: {wrong[0]}")


def _parts(work):
    """What fills the disk, in words, and the kills and checks of each part."""
    generator, commands, parts = random.Random(FLAGS.seed), Commands(work / "cache"), {}
    undisturbed, models, epochs = work / "undisturbed", work / "models" / "few_shot", FLAGS.epochs

    def add(name, found):
        parts[name] = found
        for row in (*found.get("kills", []), *found["checks"]):
            print(f"{name}: {row.get('what') or [row['phase'], row['left']]}: {row['problems'] or 'right'}", flush=True)

    seconds = training.reference(commands, undisturbed, epochs)
    drawn = moments.draw([*seconds], FLAGS.train_kills, generator)
    add("train", training.kill_and_go_on(commands, work / "killed", undisturbed, epochs, seconds, drawn))
    add("two trainers", two_trainers.train_together(commands, work / "shared", undisturbed, epochs))
    seconds = exporting.reference(commands, undisturbed, models)
    # An export spends most of its time before it writes: a third of the kills is for that.
    drawn = moments.draw(["writing", "starting", "writing"], FLAGS.export_kills, generator)
    add("export", exporting.kill_and_export_again(commands, undisturbed, models, seconds, drawn))
    drawn = moments.draw(serving.PHASES, FLAGS.serve_kills, generator)
    add("serve", serving.kill_and_start_again(commands, models, drawn))
    rooms = [0.0, *(0.3 * generator.random() for _ in range(FLAGS.rooms - 1))]
    with full_disk.small_disk(work / "disk") as disk:
        add("full disk", full_disk.fill(commands, disk, undisturbed, models / "1", epochs, rooms))
    return disk.how, parts


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
