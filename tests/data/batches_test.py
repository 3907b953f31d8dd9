"""Mini-batches over all classes as a function of seed and index."""

import numpy as np
import pytest

from ml_lstm.data import BatchSampler, ClassPool, FewShotData
from ml_lstm.data.pools import quarter_turns

COUNTS = [4, 9, 6]


def pool(turned=False):
    """Every picture is 2x2 and tells by its top-left pixel the class, and by the next one its number in it."""
    classes = {}
    for index, count in enumerate(COUNTS):
        images = np.zeros((count, 2, 2, 1), np.uint8)
        images[:, 0, 0, 0] = index + 100
        images[:, 0, 1, 0] = np.arange(count)
        classes[f"class {index}"] = images
    return ClassPool.from_classes(classes, quarter_turns(2) if turned else None)


def arrays(batch):
    return [np.asarray(tensor) for tensor in batch]


def test_a_batch_is_a_function_of_seed_and_index():
    first, again, other_seed = (BatchSampler(pool(), 16, seed) for seed in (7, 7, 8))
    for a, b in zip(arrays(first.sample(11)), arrays(again.sample(11)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.sample(11).images, first.sample(12).images)
    assert not np.array_equal(first.sample(11).images, other_seed.sample(11).images)


def test_a_later_start_continues_the_same_batches():
    sampler = BatchSampler(pool(), 16)
    from_the_start, later = list(sampler.dataset(count=5)), list(sampler.dataset(start=3, count=2))
    for a, b in zip(from_the_start[3:], later, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_a_batch_is_images_and_their_labels():
    batch = BatchSampler(pool(), 16).sample(0)
    assert [tuple(tensor.shape) for tensor in batch] == [(16, 2, 2, 1), (16,)]


@pytest.mark.parametrize("turned", [False, True])
def test_every_image_is_drawn_about_as_often_with_its_class_and_turn_as_label(turned):
    sampler = BatchSampler(pool(turned), 50)
    drawn = {}
    for images, labels in map(arrays, sampler.dataset(count=200)):
        for image, label in zip(images, labels, strict=True):
            turn, index = divmod(label, len(COUNTS))
            upright = np.rot90(image, -turn)
            assert upright[0, 0, 0] == 100 + index
            key = label, upright[0, 1, 0]
            drawn[key] = drawn.get(key, 0) + 1
    expected = 10_000 / (sum(COUNTS) * (4 if turned else 1))
    assert len(drawn) == sum(COUNTS) * (4 if turned else 1)
    assert max(abs(count - expected) for count in drawn.values()) < 5 * expected**0.5


def test_few_shot_data_have_batches_of_all_meta_train_classes():
    data = FewShotData({"train": pool(True), "val": pool(), "test": pool()}, n_way=2, n_query=1, seed=3)
    assert data.train_classes == 12
    (batch,) = data.batches(8).dataset(count=1)
    np.testing.assert_array_equal(batch.images, BatchSampler(pool(True), 8, seed=3).sample(0).images)


def test_augmentation_changes_the_pictures_and_not_the_labels():
    plain, augmented = (BatchSampler(pool(), 8, augment=name).sample(0) for name in ("none", "affine"))
    np.testing.assert_array_equal(plain.labels, augmented.labels)
    assert augmented.images.shape == plain.images.shape
    assert not np.array_equal(plain.images, augmented.images)
