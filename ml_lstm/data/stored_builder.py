"""The TensorFlow Datasets builder behind `stored`; by itself, as its import brings TFDS, which takes seconds."""

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow_datasets as tfds


class StoredBuilder(tfds.core.GeneratorBasedBuilder):
    """Images of one shape, kept in the order that they come in, in files that are read at random.

    Args:
        images: uint8 [H, W, C] each, by part.
        shape: `(H, W, C)`.
        data_dir: where it writes to.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, images: Mapping[str, Iterable[np.ndarray]], shape: tuple[int, int, int], data_dir: str):
        self._images, self._shape = images, shape
        super().__init__(data_dir=data_dir, file_format=tfds.core.FileFormat.ARRAY_RECORD)

    def _info(self):
        # "bytes": each number as a varint would take twenty times as long to write.
        image = tfds.features.Tensor(shape=self._shape, dtype=np.uint8, encoding="bytes")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"image": image}), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {part: self._generate_examples(images) for part, images in self._images.items()}

    def _generate_examples(self, images):
        for number, image in enumerate(images):
            yield number, {"image": image}
