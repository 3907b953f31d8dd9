"""Episodes as a function of seed and index."""

import collections
import time

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.data import ClassPool, DataError, EpisodeSampler, FewShotData, load
from ml_lstm.data.pools import quarter_turns
from ml_lstm.data.sampler import Sampler


def numbered_pool(counts, turned=False, alphabets=None):
    """Every picture is 2x2 and tells by its top-left pixel the class, and by the next one its number in it."""
    classes = {}
    for index, count in enumerate(counts):
        images = np.zeros((count, 2, 2, 1), np.uint8)
        images[:, 0, 0, 0] = index + 100
        images[:, 0, 1, 0] = np.arange(count)
        classes[f"class {index}"] = images
    pool = ClassPool.from_classes(classes, quarter_turns(2) if turned else None)
    return pool._replace(alphabets=alphabets and tuple(alphabets))


def arrays(episode):
    return [np.asarray(tensor) for tensor in episode]


def test_an_episode_is_a_function_of_seed_and_index():
    pool = numbered_pool([20] * 30)
    first, again, other_seed = (EpisodeSampler(pool, 5, 1, 3, seed) for seed in (7, 7, 8))
    for a, b in zip(arrays(first.sample(11)), arrays(again.sample(11)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.sample(11).query_images, first.sample(12).query_images)
    assert not np.array_equal(first.sample(11).query_images, other_seed.sample(11).query_images)


def test_order_and_batch_size_do_not_change_an_episode():
    sampler = EpisodeSampler(numbered_pool([20] * 30), 5, 2, 3)
    one_by_one = [arrays(episode) for episode in sampler.dataset(count=12)]
    later_start = [arrays(episode) for episode in sampler.dataset(start=5, count=7)]
    batched = [arrays(batch) for batch in sampler.dataset(count=12).batch(4)]
    for index, episode in enumerate(one_by_one):
        for position, tensor in enumerate(episode):
            np.testing.assert_array_equal(tensor, batched[index // 4][position][index % 4])
            if index >= 5:
                np.testing.assert_array_equal(tensor, later_start[index - 5][position])


def test_an_item_that_takes_longer_keeps_its_place():
    def late(index):
        time.sleep(0.3 * (index == 0))
        return index

    class FirstIsLate(Sampler):
        def sample(self, index):
            return tf.numpy_function(late, [index], tf.int64)

    options = tf.data.Options()
    options.threading.private_threadpool_size = 2  # on one core as well
    items = FirstIsLate(numbered_pool([2])).dataset(count=4).with_options(options)
    assert list(items.as_numpy_iterator()) == [0, 1, 2, 3]


def test_support_and_query_sets_share_classes_but_no_image():
    sampler = EpisodeSampler(numbered_pool([4, 9, 6, 4, 5]), n_way=3, k_shot=1, n_query=3)
    for episode in sampler.dataset(count=50):
        support, support_labels, query, query_labels = arrays(episode)
        assert support_labels.tolist() == [0, 1, 2]
        assert collections.Counter(query_labels.tolist()) == {0: 3, 1: 3, 2: 3}
        class_of_label = support[:, 0, 0, 0]
        assert len(set(class_of_label)) == 3
        np.testing.assert_array_equal(query[:, 0, 0, 0], class_of_label[query_labels])
        images = [tuple(image[0, :, 0]) for image in np.concatenate([support, query])]
        assert len(set(images)) == len(images)


def test_every_class_and_image_is_drawn_about_as_often():
    sampler = EpisodeSampler(numbered_pool([4, 9, 6, 4, 5]), n_way=2, k_shot=1, n_query=1)
    classes, images = collections.Counter(), collections.Counter()
    for batch in sampler.dataset(count=3000).batch(500):
        for image in arrays(batch)[0].reshape(-1, 2, 2, 1):
            classes[image[0, 0, 0]] += 1
            images[tuple(image[0, :, 0])] += 1
    # 6000 draws of 5 classes: 1200 each, standard deviation about 27 (less, as two of an episode differ).
    assert max(abs(count - 1200) for count in classes.values()) < 120
    of_class_1 = [images[(101, number)] for number in range(9)]  # 133 each, standard deviation about 11
    assert min(of_class_1) > 85 and max(of_class_1) < 185


def test_quarter_turns_make_four_classes_of_one_turned_by_quarters():
    pool = numbered_pool([2] * 3, turned=True)
    assert pool.num_classes == 12
    sampler = EpisodeSampler(pool, n_way=12, k_shot=1, n_query=1)
    support, _, query, _ = arrays(sampler.sample(0))
    seen = set()
    for image, same_class in zip(support, query, strict=True):
        turns = [k for k in range(4) if np.rot90(image, -k)[0, 0, 0] >= 100]
        assert len(turns) == 1
        assert np.rot90(same_class, -turns[0])[0, 0, 0] == np.rot90(image, -turns[0])[0, 0, 0]
        seen.add((np.rot90(image, -turns[0])[0, 0, 0], turns[0]))
    assert len(seen) == 12


def test_a_setting_that_the_classes_cannot_fill_is_refused_in_words():
    pool = numbered_pool([4, 9, 6])
    with pytest.raises(DataError, match=r"The test split has 3 classes, too few for 5-way.*--n_way"):
        EpisodeSampler(pool, 5, 1, 1, name="The test split")
    with pytest.raises(DataError, match=r"2 support \+ 3 query.*'class 0' has 4.*--n_query"):
        EpisodeSampler(pool, 3, 2, 3)


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match=r"'omniglott'.*cub, folder, glyphs, mini_imagenet, mnist, omniglot"):
        load("omniglott")


@pytest.fixture(scope="module")
def glyphs():
    return load("glyphs", n_way=5, k_shot=1, n_query=2, image_size=16, validation_episodes=3, test_episodes=4)


def test_the_three_splits_share_no_class(glyphs):
    names = [set(glyphs.pools[split].names) for split in ("train", "val", "test")]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
    assert sum(map(len, names)) >= 1000


def test_loaded_data_are_data_sets_of_episodes(glyphs):
    assert glyphs.image_shape == (16, 16, 1)
    assert [len(glyphs.validation), len(glyphs.test)] == [3, 4]
    batch = next(iter(glyphs.train.batch(4)))
    assert batch.support_images.shape == (4, 5, 16, 16, 1) and batch.support_images.dtype == tf.uint8
    assert batch.query_labels.shape == (4, 10)


def test_image_statistics_are_those_of_the_training_pixels(glyphs):
    statistics = glyphs.image_statistics()
    pixels = glyphs.pools["train"].images / 255.0
    np.testing.assert_allclose(statistics["image_mean"], pixels.mean((0, 1, 2)), atol=0.005)
    np.testing.assert_allclose(statistics["image_std"], pixels.std((0, 1, 2)), atol=0.005)


def test_another_seed_changes_training_but_not_test_episodes(glyphs):
    other = FewShotData(glyphs.pools, n_query=2, seed=1)
    assert not np.array_equal(other.sampler("train").sample(0)[0], glyphs.sampler("train").sample(0)[0])
    np.testing.assert_array_equal(other.sampler("test").sample(0)[0], glyphs.sampler("test").sample(0)[0])


def test_meta_training_episodes_may_be_larger_than_the_others():
    pools = {split: numbered_pool([20] * 8) for split in ("train", "val", "test")}
    data = FewShotData(pools, n_way=2, k_shot=1, n_query=3, train_n_way=6, train_k_shot=4, train_n_query=5)
    train, validation, test = (next(iter(episodes)) for episodes in (data.train, data.validation, data.test))
    assert (len(train.support_labels), len(train.query_labels)) == (24, 30)
    for episode in (validation, test):
        assert (len(episode.support_labels), len(episode.query_labels)) == (2, 6)


def test_meta_train_classes_are_evaluated_on_by_the_problem_of_the_test():
    pools = {split: numbered_pool([20] * (8 if split == "train" else 4)) for split in ("train", "val", "test")}
    more = {"train_n_way": 6, "train_k_shot": 4, "train_n_query": 5, "augment": "affine"}
    data = FewShotData(pools, n_way=2, k_shot=1, n_query=3, validation_episodes=40, **more)
    pictures = {image.tobytes() for image in pools["train"].images}
    classes = set()
    for episode in map(arrays, data.train_classes_validation):
        assert [len(labels) for labels in (episode[1], episode[3])] == [2, 6]
        assert all(image.tobytes() in pictures for images in (episode[0], episode[2]) for image in images)
        classes |= set(episode[0][:, 0, 0, 0].tolist())
    assert classes == set(range(100, 108))
    other = FewShotData(pools, n_way=2, k_shot=1, n_query=3, seed=1, **more)
    episodes = (arrays(each.evaluation_sampler("train").sample(3)) for each in (data, other))
    for mine, theirs in zip(*episodes, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_episode_that_meta_train_classes_are_evaluated_on_is_one_of_training(seed):
    pools = {split: numbered_pool([20] * 8) for split in ("train", "val", "test")}
    data = FewShotData(pools, n_way=5, k_shot=1, n_query=3, seed=seed)
    trained, evaluated = (
        {b"".join(part.tobytes() for part in arrays(episode)) for episode in sampler.dataset(count=50)}
        for sampler in (data.sampler("train"), data.evaluation_sampler("train"))
    )
    assert len(trained) == len(evaluated) == 50 and not trained & evaluated


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_classes_are_evaluated_on_as_they_always_are(split, glyphs):
    assert glyphs.evaluation_sampler(split) is glyphs.sampler(split)


def test_meta_training_may_be_on_fewer_classes_and_their_statistics():
    pools = {split: numbered_pool([20] * 8) for split in ("train", "val", "test")}
    data = FewShotData(pools, n_way=2, k_shot=1, n_query=3, max_train_classes=3)
    assert data.train_classes == data.problem.train_classes == 3
    assert [data.pools[split].num_classes for split in ("val", "test")] == [8, 8]
    assert len(data.pools["train"].images) == 60
    assert data.class_digest() != FewShotData(pools, max_train_classes=4).class_digest()
    assert pools["train"].num_classes == 8


ALPHABETS = "aabcbcbbcb"  # of ten classes: two of a, five of b, three of c


def classes_of(episode):
    return (np.asarray(episode.support_images)[:, 0, 0, 0] - 100).tolist()


def test_within_alphabets_an_episode_has_classes_of_one_and_each_as_often_as_another():
    sampler = EpisodeSampler(numbered_pool([4] * 10, alphabets=ALPHABETS), 3, 1, 2, within_alphabets=True)
    episodes = [classes_of(episode) for episode in sampler.dataset(count=300)]
    assert all(len(set(classes)) == 3 for classes in episodes)
    alphabets = [{ALPHABETS[number] for number in classes} for classes in episodes]
    assert all(len(found) == 1 for found in alphabets)
    counts = collections.Counter(found.pop() for found in alphabets)
    assert counts.keys() == {"b", "c"}  # a has but two classes
    assert 100 < counts["c"] < 200  # 150 expected, standard deviation 9; by their classes it would be 112 or fewer
    assert {number for classes in episodes for number in classes} == {2, 3, 4, 5, 6, 7, 8, 9}


def test_a_turned_alphabet_is_another_one():
    """Its classes are all turned alike: the top-left pixel, which has the class, is in one corner for all."""
    sampler = EpisodeSampler(numbered_pool([4] * 10, turned=True, alphabets=ALPHABETS), 3, 1, 2, within_alphabets=True)
    corners = set()
    for episode in sampler.dataset(count=60):
        images = np.concatenate([episode.support_images, episode.query_images])[..., 0]
        found = {tuple(map(tuple, np.argwhere(image >= 100))) for image in images}
        assert len(found) == 1
        corners |= found
    assert len(corners) == 4


def test_episodes_across_alphabets_are_what_they_were():
    pools = [numbered_pool([4] * 10, turned=True, alphabets=given) for given in (None, ALPHABETS)]
    ours, others = (EpisodeSampler(pool, 3, 1, 2).sample(5) for pool in pools)
    for one, other in zip(arrays(ours), arrays(others), strict=True):
        np.testing.assert_array_equal(one, other)


def test_alphabets_that_are_too_small_or_unknown_are_named_before_sampling():
    with pytest.raises(
        DataError, match=r"The val split has no alphabet of 6 classes; the largest, 'b', has 5: .*--n_way"
    ):
        EpisodeSampler(numbered_pool([4] * 10, alphabets=ALPHABETS), 6, 1, 2, 0, "The val split", within_alphabets=True)
    with pytest.raises(DataError, match="The val split has no alphabets: use --nowithin_alphabets"):
        EpisodeSampler(numbered_pool([4] * 10), 3, 1, 2, 0, "The val split", within_alphabets=True)


def test_all_splits_are_sampled_within_alphabets():
    pools = {split: numbered_pool([4] * 10, alphabets=ALPHABETS) for split in ("train", "val", "test")}
    data = FewShotData(pools, n_way=3, k_shot=1, n_query=2, within_alphabets=True)
    for split in pools:
        found = [{ALPHABETS[number] for number in classes_of(data.sampler(split).sample(index))} for index in range(20)]
        assert all(len(alphabets) == 1 for alphabets in found)
