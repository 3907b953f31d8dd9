"""Lists the data sets, or checks one: python -m ml_lstm.data [--dataset=NAME --data_dir=DIR]"""

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
    """Defines the flags of `data`: all flags of `train`, so that a configuration can be checked unchanged."""
    settings.define_flags()
    flags.DEFINE_string("run_dir", None, "Accepted because `train` accepts it; ignored here.")
    flags.DEFINE_string("contact_sheet", None, "PNG file to write, with sample images of each split.")


def main(values: settings.Values) -> None:
    """Lists the data sets; or describes one, checks it and draws sample images."""
    if not FLAGS["dataset"].present:
        if FLAGS.contact_sheet:
            raise UserError("--contact_sheet draws a data set: choose it with --dataset.")
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
            print(f"    Note: {' and '.join(constant)} {verb} in {split}: a constant channel carries no information.")
    found = list(problems(data.pools, {split: Setting(*data.setting(split)) for split in SPLITS}))
    for problem in found:
        print(f"Problem: {problem}")
    if not found:
        print("No image is in two splits, and every class has enough images for the setting.")
    if FLAGS.contact_sheet:
        Image.fromarray(contact_sheet(data.pools)).save(expanded(FLAGS.contact_sheet), format="PNG")
        print(f"Sample images of each split: {FLAGS.contact_sheet}")
    if found:
        sys.exit(1)


def _list():
    width = max(map(len, SOURCES))
    for name, source in sorted(SOURCES.items()):
        print(f"{name:{width}}  {source.description}")
    print("\nTo check one: python -m ml_lstm.data --dataset=NAME [--data_dir=DIR --contact_sheet=FILE.png]")


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main, settings.from_flags)
