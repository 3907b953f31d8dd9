"""ResNet-12 beside the same network in NumPy, and as the learner of each kind of method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import embedding, feature_maps, resnet12
from ml_lstm.runs import settings
from ml_lstm.serving import export_version

SHAPE, WAY = (16, 16, 3), 3


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype("float32")


def convolve(x, kernel):
    """[n, H, W, C] by a kernel [k, k, C, F], stride 1, zeros around."""
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.einsum("nhwcij,ijcf->nhwf", windows, kernel)


def forward(x, weights):
    """Lee et al.'s forward pass on one batch in training, from kernels, gammas and betas block by block."""

    def normalized_convolution(x):
        kernel, gamma, beta = next(weights), next(weights), next(weights)
        x = convolve(x, kernel)
        axes = (0, 1, 2)
        return (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-3) * gamma + beta

    def leaky_relu(x):
        return np.where(x > 0, x, 0.1 * x)

    for _ in range(4):
        shortcut = normalized_convolution(x)
        for _ in range(2):
            x = leaky_relu(normalized_convolution(x))
        x = leaky_relu(normalized_convolution(x) + shortcut)
        count, height, width, filters = x.shape
        x = x.reshape(count, height // 2, 2, width // 2, 2, filters).max(axis=(2, 4))
    return x.mean(axis=(1, 2))


def with_random_weights(learner):
    """Scales and offsets other than 1 and 0, too."""
    rng = np.random.default_rng(0)
    for variable in learner.trainable_variables:
        scale = 1.0 / np.sqrt(max(1, np.prod(variable.shape[:-1])))
        variable.assign(rng.normal(0.5 if len(variable.shape) == 1 else 0.0, scale, variable.shape))
    return learner


def test_it_computes_what_the_papers_write():
    learner = with_random_weights(resnet12(SHAPE, WAY, filters=4))
    *_, head, bias = (variable.numpy() for variable in learner.trainable_variables)
    x = images(6)
    expected = forward(x.astype("float64"), in_order_of_calls(learner))
    np.testing.assert_allclose(embedding(learner)(x, training=True), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(learner(x, training=True), expected @ head + bias, rtol=1e-3, atol=1e-4)


def in_order_of_calls(learner):
    """Kernel, gamma and beta: of a block's shortcut, then of its three convolutions."""
    convolutions = [layer for layer in learner.layers if isinstance(layer, keras.layers.Conv2D)]
    for start in range(0, 16, 4):
        block = convolutions[start : start + 4]
        for layer in sorted(block, key=lambda layer: layer.kernel.shape[0]):  # the 1x1 one first
            for variable in (layer.kernel, layer.normalization.gamma, layer.normalization.beta):
                yield variable.numpy().astype("float64")


@pytest.mark.parametrize(
    ("options", "millions", "exactly"),
    [
        ({}, 12.4, 12_424_320),
        ({"widening": (2, 4, 8)}, 8.0, None),
        ({"filters": 16}, 0.8, None),
    ],
)
def test_it_has_the_published_number_of_parameters(options, millions, exactly):
    body = embedding(resnet12((84, 84, 3), 5, **options))
    count = sum(np.prod(variable.shape) for variable in body.trainable_variables)
    assert round(count / 1e6, 1) == millions
    assert exactly in (None, count)
    assert feature_maps(body).output.shape[1:3] == (5, 5)


def test_thin_blocks_keep_the_proportions():
    learner = resnet12(SHAPE, WAY, filters=4)
    widths = {layer.filters for layer in learner.layers if isinstance(layer, keras.layers.Conv2D)}
    assert widths == {4, 10, 20, 40}


@pytest.mark.parametrize("given", [{"widening": (2.0, 0.0, 1.0)}, {"widening": (2.0, 4.0)}, {"filters": 0}])
def test_impossible_widths_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        resnet12(SHAPE, WAY, **given)


def test_images_that_cannot_be_halved_four_times_are_refused():
    with pytest.raises(ValueError, match="at least 16x16, got 15x40"):
        resnet12((15, 40, 3), WAY)


def episodes():
    """Two, of one dark class, one half bright and one bright."""

    def pictures(count, seed):
        noise = np.random.default_rng(seed).uniform(0, 120, (count, *SHAPE))
        noise[1::WAY, :8] += 120
        noise[2::WAY] += 120
        return noise.astype("uint8")

    labels = np.arange(6) % WAY
    columns = ([pictures(6, 0), pictures(6, 1)], [labels, labels], [pictures(6, 2), pictures(6, 3)], [labels, labels])
    return Episode(*(tf.constant(np.stack(column)) for column in columns))


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        {"method": "prototypical"},
        {"method": "maml", "inner_steps": 1},
        {"method": "meta_lstm", "inner_steps": 1, "hidden_units": 2},
    ],
    ids=lambda chosen: chosen["method"],
)
def test_every_kind_of_method_takes_a_meta_step_with_it_and_exports(chosen, tmp_path):
    values = settings.complete({"learner": "resnet12", "filters": 2, "n_way": WAY, **chosen})
    method = settings.build_method(values, Problem(SHAPE, WAY, 7, [0.5], [0.3]))
    method.compile(optimizer=keras.optimizers.Adam(1e-3))
    before = [variable.numpy() for variable in method.learner.trainable_variables]
    history = method.fit(tf.data.Dataset.from_tensors(episodes()), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    changed = [np.any(old != new) for old, new in zip(before, method.learner.trainable_variables, strict=True)]
    assert np.mean(changed) > 0.9
    support, labels, queries, _ = (tensor[0] for tensor in episodes())
    expected = tf.nn.softmax(method.classify(method.adapt(support, labels), queries))
    path = export_version(method, SHAPE, str(tmp_path / "export"), "{}")
    served = tf.saved_model.load(str(path)).signatures["adapt_and_predict"](
        support_images=support,
        support_labels=tf.strings.as_string(labels),
        query_images=queries,
    )
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-4)
