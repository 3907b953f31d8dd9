"""Lists the sources of images, or looks at one: python -m ml_lstm.data [--dataset=NAME --data_dir=DIR]"""

import sys
import time

from absl import flags, logging
from PIL import Image

from ml_lstm.command_line import command
from ml_lstm.data import SOURCES, SPLITS
from ml_lstm.data.check import Setting, constant_channels, problems
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.plots.contact_sheet import contact_sheet
from ml_lstm.runs import settings

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What `data` takes: all that `train` does, so that a configuration can be checked as it is."""
    settings.define_flags()
    flags.DEFINE_string("run_dir", None, "Taken as `train` takes it, and not looked at.")
    flags.DEFINE_string("contact_sheet", None, "PNG to draw some pictures of each split to.")


def main(values: settings.Values) -> None:
    """Lists the sources; or says what one holds, checks it and draws some of it."""
    if not FLAGS["dataset"].present:
        if FLAGS.contact_sheet:
            raise UserError("--contact_sheet draws a data set: name it by --dataset.")
        _list()
        return
    start = time.monotonic()
    data = settings.load_data(values)
    print(f"{values['dataset']}, loaded in {time.monotonic() - start:.1f} s:")
    for split, pool in data.pools.items():
        counts = " to ".join(f"{count:,}" for count in sorted({pool.counts.min(), pool.counts.max()}))
        views = f" ({len(pool.counts):,} in {pool.num_views} views each)" if pool.views is not None else ""
        shape = "x".join(map(str, pool.image_shape))
        print(
            f"  {split:5} {pool.num_classes:>6,} classes{views}, {len(pool.images):>7,} images, {counts} a class, "
            f"{shape}, {pool.images.nbytes / 1e6:,.0f} MB"
        )
        constant = constant_channels(pool)
        if 0 < len(constant) < pool.image_shape[-1]:
            verb = "never change" if len(constant) > 1 else "never changes"
            print(f"    Note: {' and '.join(constant)} {verb} in {split}: nothing can be learned from that.")
    found = list(problems(data.pools, {split: Setting(*data.setting(split)) for split in SPLITS}))
    for problem in found:
        print(f"Problem: {problem}")
    if not found:
        print("No picture is in two splits, and every class is large enough for the setting.")
    if FLAGS.contact_sheet:
        Image.fromarray(contact_sheet(data.pools)).save(expanded(FLAGS.contact_sheet), format="PNG")
        print(f"Some pictures of each split: {FLAGS.contact_sheet}")
    if found:
        sys.exit(1)


def _list():
    width = max(map(len, SOURCES))
    for name, source in sorted(SOURCES.items()):
        print(f"{name:{width}}  {source.description}")
    print("\nLook at one: python -m ml_lstm.data --dataset=NAME [--data_dir=DIR --contact_sheet=FILE.png]")


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main, settings.from_flags)
