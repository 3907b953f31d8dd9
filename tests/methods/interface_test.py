"""What every registered method promises, whatever is inside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm import options
from ml_lstm.cells import CELLS
from ml_lstm.episode import Episode, LabelledBatch, Problem
from ml_lstm.learners import LEARNERS, EpisodicBatchNormalization
from ml_lstm.methods import METHODS
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.options import Count
from ml_lstm.runs import CheckpointStore, settings
from ml_lstm.serving import export_version
from ml_lstm.training import AverageWeights, Progress, SaveProgress

SHAPE, WAY = (16, 16, 1), 5

# Small and quick, for whatever takes one of these; all else is as it is by default.
SMALL = {
    "learner": "tiny",
    "n_way": WAY,
    "filters": 4,
    "input_gate_bias": (-2.0, -1.0),
    "hidden_units": 0,
    "cell_learning_rate": 0.1,
    "inner_steps": 2,
    "inner_learning_rate": 0.1,
    "query_statistics": "support",
    "read_steps": 2,
    "controller_units": 6,
    "memory_rows": 7,
    "memory_width": 4,
    "read_heads": 2,
    "task_examples": 1,
}
VARIANTS = {name: {"method": name} for name in METHODS if name != "meta_lstm"}
VARIANTS |= {f"meta_lstm, {name}": {"method": "meta_lstm", "cell": name, "hidden_units": 2} for name in CELLS}
VARIANTS["mann, strings"] = {"method": "mann", "label_characters": 3, "embedding_loss": 0.5}
VARIANTS |= {
    "meta_networks, convolutions": {"method": "meta_networks", "base_learner": "convolutions", "base_filters": 4},
    "meta_networks, mlp": {"method": "meta_networks", "embedding_network": "mlp", "base_learner": "mlp"},
}
# One rule that keeps numbers for each parameter, and one that keeps none.
VARIANTS |= {f"{name}, shared head": VARIANTS[name] | {"shared_head": True} for name in ("maml", "meta_lstm, meta_sgd")}


def tiny(image_shape, n_way, *, filters: Count = 4):
    """All that matters of a learner, and quick to trace.

    Args:
        image_shape: of images.
        n_way: classes.
        filters: of the convolution.
    """
    x = inputs = keras.Input(image_shape)
    x = keras.layers.Conv2D(filters, 3, strides=4)(x)
    x = keras.layers.ReLU()(EpisodicBatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(n_way, name="head")(keras.layers.Flatten()(x)))


@pytest.fixture(scope="module", autouse=True)
def tiny_learner():
    LEARNERS["tiny"] = tiny
    yield
    del LEARNERS["tiny"]


def kind(variant):
    return options.target(METHODS[VARIANTS[variant]["method"]])


def new_method(variant):
    # What these make of untrained features is in the hundreds: fainter pictures keep answers soft and rounding small.
    std = 10.0 if variant == "prototypical" else 3.0 if variant.startswith("meta_networks") else 0.3
    values = settings.complete(SMALL | {"seed": 3} | VARIANTS[variant])
    return settings.build_method(values, Problem(SHAPE, WAY, 7, [0.8], [std]))


# One of each family, where a test takes seconds: the others are for `make test-slow`.
one_of_each_family = pytest.mark.slow_unless(
    variant=["meta_lstm, meta_lstm", "maml", "prototypical", "simple_shot", "mann", "meta_networks"]
)
# Where it takes an export.
some_exported = pytest.mark.slow_unless(variant=["meta_lstm, meta_lstm", "prototypical", "simple_shot"])


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def method(variant):
    return new_method(variant)


def pictures(count, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype("uint8"))


SUPPORT, LABELS, QUERIES = pictures(2 * WAY), tf.repeat(tf.range(WAY), 2), pictures(9, seed=1)
QUERY_LABELS = tf.constant([0, 1, 2, 3, 4, 0, 1, 2, 3])


def probabilities(method, support=SUPPORT, labels=LABELS, queries=QUERIES):
    return tf.nn.softmax(method.classify(method.adapt(support, labels), queries)).numpy()


def training_items(seed, joint):
    """Four, from `seed` on: episodes, or batches of images of all classes."""
    items = []
    for n in range(seed, seed + 4):
        support, queries = pictures(10, n), pictures(9, n + 1)
        episode = Episode(support, LABELS, queries, QUERY_LABELS)
        items.append(LabelledBatch(queries, QUERY_LABELS) if joint else episode)
    columns = (tf.stack(column) for column in zip(*items, strict=True))
    return tf.data.Dataset.from_tensor_slices(type(items[0])(*columns))


def meta_batches(seed, joint):
    """Of two, for as long as a test trains."""
    return training_items(seed, joint).batch(2, drop_remainder=True).repeat()


def test_adapt_and_classify_write_no_variable_and_repeat(method):
    before = [value.copy() for value in method.get_weights()]
    first, second = probabilities(method), probabilities(method)
    np.testing.assert_array_equal(first, second)
    for value, now in zip(before, method.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_a_querys_answer_is_its_own(method):
    together = probabilities(method)
    for index in (0, 4, 8):
        alone = probabilities(method, queries=QUERIES[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-4, atol=1e-6)


def test_answers_depend_on_the_support_set(method):
    assert np.abs(probabilities(method) - probabilities(method, tf.reverse(SUPPORT, [0]))).max() > 1e-5


def test_the_order_of_the_support_set_does_not_matter(method):
    order = np.random.default_rng(5).permutation(2 * WAY)
    shuffled = probabilities(method, tf.gather(SUPPORT, order), tf.gather(LABELS, order))
    np.testing.assert_allclose(shuffled, probabilities(method), rtol=1e-3, atol=1e-5)


def test_absent_classes_get_no_probability(method):
    answer = probabilities(method, SUPPORT[:6], LABELS[:6])
    assert (answer[:, 3:] == 0).all()
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)
    # A softmax sums to 1 but for rounding, which processors do otherwise.
    np.testing.assert_allclose(probabilities(method, SUPPORT[:2], LABELS[:2])[:, 0], 1, rtol=1e-6)


def test_shots_may_differ_between_classes(method):
    answer = probabilities(method, pictures(8), tf.constant([0, 0, 0, 1, 2, 2, 3, 4]))
    assert answer.shape == (9, WAY)
    assert np.isfinite(answer).all()


def test_a_method_without_a_limit_answers_for_any_number_of_classes(method, variant):
    if method.most_classes is not None and variant != "mann, strings":
        assert method.most_classes == WAY
        return
    answer = probabilities(method, pictures(8), tf.range(8))
    assert answer.shape == (9, 8)
    assert answer.max(0).min() > 0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["cat"] * 5 + ["dog"] * 5, "whole numbers, .* got string: number the classes"),
        (np.repeat(np.arange(5.0), 2), "whole numbers, .* got float64"),
        (LABELS - 1, "Labels must be .*, got -1"),
        (LABELS + 1000, "Labels must be from 0 to .*, got 1004"),
    ],
)
def test_labels_that_are_no_classes_are_refused(method, labels, words):
    if method.most_classes is None and "to" in words.split():
        pytest.skip("takes any number of classes")
    with pytest.raises(ValueError, match=words):
        method.adapt(SUPPORT, labels)


def test_saved_and_loaded_gives_the_same_answers(method, tmp_path):
    method.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(probabilities(again), probabilities(method))


@pytest.fixture(scope="module")
def signatures(method, tmp_path_factory):
    """Of its export."""
    directory = export_version(method, SHAPE, str(tmp_path_factory.mktemp("models") / "m"), "{}")
    return tf.saved_model.load(str(directory)).signatures


NAMED = {"support_images": SUPPORT, "support_labels": tf.constant([f"class {label}" for label in LABELS.numpy()])}


@some_exported
def test_the_export_gives_the_same_answers(method, variant, signatures):
    expected = probabilities(method)
    # Meta Networks read gradients through a slope of up to e^10, which enlarges rounding as well.
    rounding = 1e-3 if variant.startswith("meta_networks") else 1e-5
    at_once = signatures["adapt_and_predict"](**NAMED, query_images=QUERIES)
    in_steps = signatures["predict"](**signatures["adapt"](**NAMED), query_images=QUERIES)
    for answer in (at_once, in_steps):
        np.testing.assert_allclose(answer["probabilities"], expected, atol=rounding)


@some_exported
def test_the_export_tells_how_it_learned_if_it_does_so_in_steps(method, signatures):
    if method.served_inner_steps is None:
        assert not any(name.startswith("explain") for name in signatures)
        return
    expected = method.explain(SUPPORT, LABELS)
    told = signatures["explain"](**NAMED)
    assert told.keys() == {"classes", *expected}
    assert told["losses"].shape == (method.served_inner_steps + 1,)
    for name in expected.keys() - {"layers"}:
        np.testing.assert_allclose(told[name], expected[name], rtol=1e-3, err_msg=name)


def changed(value):
    """A tensor that differs in one value."""
    array = np.array(value.numpy())
    if array.dtype == object:
        array[-1] = b"another"
    elif array.dtype == bool:
        array.flat[-1] = not array.flat[-1]
    else:
        array.flat[-1] += 1 if array.dtype.kind in "iu" else 0.001 + abs(array.flat[-1]) / 100
    return tf.constant(array)


@some_exported
def test_the_export_takes_its_own_adaptation_back_and_no_other(signatures):
    adaptation = signatures["adapt"](**NAMED)
    other = signatures["adapt"](**NAMED | {"support_images": pictures(len(LABELS), seed=8)})
    for name, value in adaptation.items():
        assert tf.size(value) > 0, name
        with pytest.raises(tf.errors.InvalidArgumentError, match="was changed: adapt again"):
            signatures["predict"](**adaptation | {name: changed(value)}, query_images=QUERIES)
    with pytest.raises(tf.errors.InvalidArgumentError, match="from another model or version"):
        signatures["predict"](**adaptation | {"fingerprint": other["fingerprint"]}, query_images=QUERIES)
    kept = {name: as_kept_in_json(value) for name, value in adaptation.items()}
    np.testing.assert_array_equal(
        signatures["predict"](**kept, query_images=QUERIES)["probabilities"],
        signatures["predict"](**adaptation, query_images=QUERIES)["probabilities"],
    )


def as_kept_in_json(value):
    """After a way through JSON on which zeros lose their sign, as in JavaScript."""
    array = value.numpy()
    if array.dtype.kind != "f":
        return value
    numbers = [float(str(number)) + 0.0 for number in array.ravel()]
    return tf.constant(np.reshape(numbers, array.shape), value.dtype)


def test_a_checkpoint_of_the_method_alone_holds_every_weight(variant, tmp_path):
    """The best weights are saved without the optimizer, which knows them too."""
    saved, restored = new_method(variant), new_method(variant)
    for weight in saved.weights:
        weight.assign(weight + 1)
    CheckpointStore(tmp_path, model=saved).save(1)
    CheckpointStore(tmp_path, model=restored).restore_newest()
    for value, expected in zip(restored.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


def is_joint(method):
    return isinstance(method, JointlyTrained)


@pytest.fixture
def eager():
    """Two steps take less time than to trace a graph for them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@one_of_each_family
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("variant", [name for name in VARIANTS if kind(name).trains], indirect=True)
def test_a_resumed_run_has_the_bits_of_an_undisturbed_one(variant, tmp_path):
    def trained(directory, steps, start=0):
        method = new_method(variant)
        method.compile(optimizer=method.make_optimizer(1, learning_rate=0.01))
        method.optimizer.build(method.trainable_variables)
        store = CheckpointStore(directory, model=method, optimizer=method.optimizer)
        store.restore_newest()
        method.fit(meta_batches(start, is_joint(method)), steps_per_epoch=steps, verbose=0)
        store.save(start + steps)
        return [value.copy() for value in method.get_weights()]

    untouched = new_method(variant).get_weights()
    trained(tmp_path / "halves", 1)
    halves, whole = trained(tmp_path / "halves", 1, start=2), trained(tmp_path / "whole", 2)
    assert any((value != start).any() for value, start in zip(whole, untouched, strict=True))
    for value, expected in zip(halves, whole, strict=True):
        np.testing.assert_array_equal(value, expected)


@one_of_each_family
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("variant", [name for name in VARIANTS if kind(name).trains], indirect=True)
def test_an_episode_without_a_meta_batch_is_a_meta_batch_of_one(variant):
    def trained(batches):
        method = new_method(variant)
        method.compile(optimizer=method.make_optimizer(1, learning_rate=0.01), metrics=["accuracy"])
        history = method.fit(batches, steps_per_epoch=1, verbose=0).history
        return history, [value.copy() for value in method.get_weights()]

    alone = training_items(0, is_joint(new_method(variant)))
    (history, weights), (expected_history, expected) = trained(alone), trained(alone.batch(1))
    assert history == expected_history
    for value, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(value, other)


class Weights(keras.callbacks.Callback):
    """Remembers them after each step."""

    def __init__(self):
        super().__init__()
        self.after = []

    def on_train_batch_end(self, batch, logs=None):
        self.after.append([value.copy() for value in self.model.get_weights()])


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("variant", [name for name in VARIANTS if kind(name).trains], indirect=True)
@pytest.mark.slow
def test_the_best_weights_are_the_averages_and_a_resumed_run_has_the_bits_of_an_undisturbed_one(variant, tmp_path):
    validation = tf.data.Dataset.from_tensors(Episode(SUPPORT, LABELS, QUERIES, QUERY_LABELS)).batch(1)

    def trained(directory, epochs, start=0):
        """In epochs of a step each; the weights after each step."""
        method = new_method(variant)
        method.compile(optimizer=method.make_optimizer(1, learning_rate=0.01))
        method.optimizer.build(method.trainable_variables)
        averages, progress, seen = AverageWeights(method, average_weights=0.999), Progress(), Weights()
        objects = {"model": method, "progress": progress}
        backup = CheckpointStore(directory / "b", **objects, optimizer=method.optimizer, averages=averages.state)
        backup.restore_newest()
        saves = SaveProgress(backup, CheckpointStore(directory / "best", **objects), progress, 2, averages=averages)
        for epoch in range(start, start + epochs):
            progress.validations.clear()  # so that each is better than the one before
            method.fit(
                meta_batches(2 * epoch, is_joint(method)),
                steps_per_epoch=1,
                verbose=0,
                validation_data=validation,
                callbacks=[averages, seen, saves],
            )
        return seen.after

    def saved(directory):
        method = new_method(variant)
        CheckpointStore(directory, model=method).restore_newest()
        return method.get_weights()

    whole = trained(tmp_path / "whole", 2)
    trained(tmp_path / "halves", 1)
    halves = trained(tmp_path / "halves", 1, start=1)
    for value, expected in zip(halves[-1], whole[-1], strict=True):
        np.testing.assert_array_equal(value, expected)
    for part in ("best", "b"):
        for value, expected in zip(saved(tmp_path / "halves" / part), saved(tmp_path / "whole" / part), strict=True):
            np.testing.assert_array_equal(value, expected)
    for value, expected in zip(saved(tmp_path / "whole" / "b"), whole[-1], strict=True):
        np.testing.assert_array_equal(value, expected)
    apart = 0
    for value, *steps in zip(
        saved(tmp_path / "whole" / "best"), new_method(variant).get_weights(), *whole, strict=True
    ):
        start, first, second = (np.asarray(step, np.float64) for step in steps)
        average = 2 / 11 * start + 9 / 11 * first
        np.testing.assert_allclose(value, 3 / 12 * average + 9 / 12 * second, rtol=1e-5, atol=1e-6)
        apart += (value != steps[-1]).any()
    assert apart >= len(new_method(variant).trainable_weights) / 2
