"""The TensorFlow Datasets builder of mini-ImageNet; in its own file because it imports TFDS, which takes seconds."""

import itertools
from pathlib import Path

import tensorflow_datasets as tfds

from ml_lstm.data import splits
from ml_lstm.data.sources import mini_imagenet


class MiniImagenet(tfds.core.GeneratorBasedBuilder):
    """100 classes of ImageNet 2012 as Ravi & Larochelle (2017) split them, see `mini_imagenet.load`."""

    VERSION = tfds.core.Version(mini_imagenet.VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {mini_imagenet.ARCHIVE} of ImageNet 2012 (image-net.org), or its class folders, in manual_dir."
    )

    def _info(self):
        names = sorted(itertools.chain(*splits.published(mini_imagenet.NAME).values()))
        side = mini_imagenet.SIDE
        return self.dataset_info_from_configs(
            description="60,000 images of 100 classes of ImageNet, 84x84, split by class.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=names),
                    "file": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            citation="Ravi & Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017.",
        )

    def _split_generators(self, dl_manager):
        manual = Path(dl_manager.manual_dir)
        lists = {part: manual / f"{part}.csv" for part in mini_imagenet.PARTS}
        if not all(path.is_file() for path in lists.values()):
            urls = {part: mini_imagenet.LISTS.format(part) for part in mini_imagenet.PARTS}
            lists = {part: Path(path) for part, path in dl_manager.download(urls).items()}
        wanted = {part: mini_imagenet.read_list(path, part) for part, path in lists.items()}
        return {part: self._generate_examples(manual, names) for part, names in wanted.items()}

    def _generate_examples(self, manual, wanted):
        for name, picture, image in mini_imagenet.pictures(manual, wanted):
            yield picture, {"image": image, "label": name, "file": picture}
