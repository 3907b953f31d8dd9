"""Networks of keras.applications as learners, beside Keras's own; no weights are downloaded: the tests write some."""

import inspect
import urllib.error

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import FunctionalLearner, Preprocessing, conv4, embedding, find_learner, natural_image_size
from ml_lstm.learners.preprocessing import applications, normalizes_images
from ml_lstm.learners.pretrained import application
from ml_lstm.learners.variables import averages
from ml_lstm.methods import METHODS
from ml_lstm.runs import settings

NAME, SHAPE, WAY = "mobilenet_v2", (32, 32, 3), 3
PROBLEM = Problem(SHAPE, WAY, 7, [0.4, 0.5, 0.6], [0.2, 0.3, 0.1])


def pictures(count, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype("uint8")


@pytest.fixture(scope="module")
def own():
    """Keras's own, as if it had been trained: scales and offsets of some size, and the averages that belong to them."""
    keras.utils.set_random_seed(1)
    network = keras.applications.MobileNetV2(weights=None, input_shape=SHAPE, classes=10)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0.0, 0.3, layer.beta.shape))
            layer.momentum = 0.0
    network(keras.applications.mobilenet_v2.preprocess_input(pictures(16, 9).astype("float32")), training=True)
    return network


@pytest.fixture(scope="module")
def without_classes(own):
    return keras.Model(own.inputs, own.layers[-2].output)


@pytest.fixture(scope="module")
def files(own, tmp_path_factory):
    """Of each kind that Keras writes, with and without the network's own classes."""
    directory = tmp_path_factory.mktemp("weights")
    bare = keras.applications.MobileNetV2(weights=None, input_shape=SHAPE, include_top=False)
    bare.set_weights([weight.numpy() for weight in own.weights[: len(bare.weights)]])
    found = {}
    for kind, network in (("whole", own), ("bare", bare)):
        found[kind] = str(directory / f"{kind}.keras")
        network.save(found[kind])
        found[f"weights of the {kind}"] = str(directory / f"{kind}.weights.h5")
        network.save_weights(found[f"weights of the {kind}"])
    found["old weights"] = str(directory / "old.h5")
    _save_as_keras_2_did(bare, found["old weights"])
    return found


def _save_as_keras_2_did(network, path):
    """The form of the files that keras.applications downloads."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


@pytest.mark.parametrize("kind", ["whole", "bare", "weights of the whole", "weights of the bare", "old weights"])
def test_its_features_are_those_of_keras_with_the_networks_own_preprocessing(kind, files, without_classes):
    learner = application(NAME, SHAPE, WAY, pretrained=files[kind])
    images = pictures(4)
    expected = without_classes(keras.applications.mobilenet_v2.preprocess_input(images.astype("float32")))
    assert np.std(expected, axis=0).max() > 0.1  # images differ
    for training in (True, False):  # batch norm is frozen
        found = embedding(learner)(images / np.float32(255), training=training)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", applications())
def test_each_network_has_its_own_preprocessing(name):
    layer = Preprocessing(name)
    module = inspect.getmodule(applications()[name])
    images = pictures(2)
    expected = module.preprocess_input(images.astype("float32"))
    np.testing.assert_allclose(layer(images / np.float32(255)), expected, rtol=1e-5, atol=1e-3)
    assert Preprocessing.from_config(layer.get_config()).network == name


def test_only_a_network_with_its_own_preprocessing_gets_images_as_they_are():
    plain = conv4(SHAPE, WAY, filters=2)
    own = keras.Sequential([keras.Input(SHAPE), Preprocessing(), conv4(SHAPE, WAY, filters=2)])
    inside = keras.Sequential([keras.Input(SHAPE), own])
    assert [normalizes_images(learner) for learner in (None, plain, own, inside)] == [False, False, True, True]


def test_every_network_is_found_by_its_name_in_snake_case_and_as_keras_spells_it():
    known = applications()
    assert len(known) >= 38
    assert {"mobilenet_v3_small", "efficientnet_v2_b0", "convnext_tiny", "resnet50", "nasnet_large"} <= known.keys()
    for name, function in known.items():
        for spelling in (name, function.__name__):
            learner = find_learner(spelling)
            assert (learner.func, learner.args) == (application, (name,))


@pytest.mark.parametrize(
    ("name", "size"),
    [("mobilenet_v3_small", 224), ("efficientnet_v2_b1", 240), ("NASNetLarge", 331), ("xception", 299)],
)
def test_images_are_of_the_networks_natural_size_unless_told(name, size):
    assert natural_image_size(name) == size
    chosen = {"learner": name, "method": "prototypical"}
    assert settings.complete(chosen)["image_size"] == size
    assert settings.complete(chosen | {"image_size": 64})["image_size"] == 64
    assert settings.complete({"learner": "conv4"})["image_size"] == 28


def test_grey_images_become_three_channels(files):
    grey = pictures(4, shape=(32, 32, 1)) / np.float32(255)
    in_grey = application(NAME, (32, 32, 1), WAY, pretrained=files["bare"])
    in_colour = application(NAME, SHAPE, WAY, pretrained=files["bare"])
    np.testing.assert_allclose(
        embedding(in_grey)(grey), embedding(in_colour)(np.repeat(grey, 3, axis=-1)), rtol=1e-4, atol=1e-5
    )


def method_with(files, name, adapted, **chosen):
    values = {"method": name, "learner": NAME, "pretrained": files["bare"], "adapted": adapted, "n_way": WAY}
    return settings.build_method(settings.complete(values | chosen), PROBLEM)


def test_images_are_not_normalised_twice(files, without_classes):
    method = method_with(files, "prototypical", "head")
    images = pictures(4)
    expected = without_classes(keras.applications.mobilenet_v2.preprocess_input(images.astype("float32")))
    np.testing.assert_allclose(method.embed(images), expected, rtol=1e-4, atol=1e-5)
    again = METHODS["prototypical"].from_config(method.get_config())
    np.testing.assert_array_equal(again.normalize(images), images / np.float32(255))


def test_an_adaptation_holds_what_is_adapted_and_no_more(files):
    support, labels = pictures(6), np.arange(6) % WAY
    sizes = {}
    for adapted in ("head", "last_block", "all"):
        learner = application(NAME, SHAPE, WAY, pretrained=files["bare"], adapted=adapted)
        sizes[adapted] = FunctionalLearner(learner).num_parameters
        assert averages(learner) == []
    assert sizes["head"] == 1280 * WAY + WAY
    whole = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=SHAPE)
    kernels = [w for w in whole.trainable_variables if not w.path.endswith(("gamma", "beta"))]
    assert sizes["all"] == sizes["head"] + sum(int(np.prod(w.shape)) for w in kernels)
    assert sizes["head"] < sizes["last_block"] < 0.6 * sizes["all"]
    adaptation = method_with(files, "maml", "head").adapt(support, labels)
    assert {name: tensor.shape for name, tensor in adaptation.items()} == {
        "parameters": [1280 * WAY + WAY],
        "statistics": [0],
        "class_mask": [WAY],
    }


def convolutions(method, steps):
    """How many convolutions are in the graph of an adaptation and an answer."""
    method.inner_steps = steps

    def run(support, labels, queries):
        return method.classify(method.adapt(support, labels), queries)

    images = tf.TensorSpec([6, *SHAPE], tf.uint8)
    graph = tf.function(run, autograph=False).get_concrete_function(images, tf.TensorSpec([6], tf.int32), images).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return sum(node.op in ("Conv2D", "DepthwiseConv2dNative") for node in nodes)


def test_the_frozen_part_is_run_once_for_a_support_set_and_once_for_queries(files):
    whole = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=SHAPE)
    kinds = keras.layers.Conv2D | keras.layers.DepthwiseConv2D
    names = [layer.name for layer in whole.layers if isinstance(layer, kinds)]
    assert convolutions(method_with(files, "maml", "head"), steps=4) == 2 * len(names)
    last = [name for name in names if name.startswith(("block_15", "block_16", "Conv_1"))]
    block = method_with(files, "maml", "last_block")
    assert convolutions(block, steps=4) == 2 * len(names) + 3 * len(last)


@pytest.mark.slow_unless(name=["prototypical"])
@pytest.mark.parametrize(
    ("name", "adapted"), [("maml", "head"), ("prototypical", "last_block"), ("fine_tuning", "head")]
)
def test_only_what_is_adapted_is_trained(name, adapted, files):
    method = method_with(files, name, adapted, **({"inner_steps": 1} if name == "maml" else {}))
    method.compile(optimizer=keras.optimizers.SGD(0.1))
    trained = {id(variable) for variable in method.trainable_variables}
    before = {id(variable): variable.numpy() for variable in method.learner.weights}
    images, labels = pictures(6), np.arange(6) % WAY
    data = tf.data.Dataset.from_tensors(Episode(images, labels, pictures(6, 1), labels))
    if name == "fine_tuning":
        data = tf.data.Dataset.from_tensors((images[None], labels[None]))
    method.fit(data, verbose=0)
    for variable in method.learner.weights:
        if id(variable) not in trained:
            np.testing.assert_array_equal(variable, before[id(variable)])
    if adapted != "head":
        moved = [np.any(variable != before[id(variable)]) for variable in method.learner.trainable_variables]
        assert np.mean(moved) > 0.9
    assert len(method.optimizer.variables) <= len(trained) + 2


def test_a_frozen_network_that_is_only_compared_has_nothing_to_train(files):
    assert not method_with(files, "prototypical", "head").trains
    assert method_with(files, "relation", "head").trains  # its relation module


def test_prototypes_on_mobilenet_v3_small_take_less_than_20_kb():
    values = {"method": "prototypical", "learner": "mobilenet_v3_small", "pretrained": "none", "n_way": 5}
    method = settings.build_method(settings.complete(values), Problem((32, 32, 3), 5))
    adaptation = method.adapt(pictures(25), np.arange(25) % 5)
    assert sum(tensor.numpy().nbytes for tensor in adaptation.values()) < 20_000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pretrained": "nowhere.keras"}, "there is no file nowhere.keras"),
        ({"pretrained": "weights.pkl"}, "pretrained must be imagenet, none, or a file that ends in"),
        ({"adapted": "some"}, "adapted must be one of head, last_block, all"),
    ],
)
def test_weights_that_cannot_be_are_refused_in_a_sentence(given, words):
    with pytest.raises(ValueError, match=words):
        application(NAME, SHAPE, WAY, **given)


@pytest.mark.parametrize("kind", ["bare", "weights of the bare", "old weights"])
def test_weights_of_another_network_are_refused_in_a_sentence(kind, files):
    with pytest.raises(ValueError, match="does not hold weights of mobilenet: ") as caught:
        application("mobilenet", SHAPE, WAY, pretrained=files[kind])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_a_file_that_is_none_is_refused_in_a_sentence(suffix, tmp_path):
    path = tmp_path / f"text{suffix}"
    path.write_text("hello")
    with pytest.raises(ValueError, match="does not hold weights of mobilenet: ") as caught:
        application("mobilenet", SHAPE, WAY, pretrained=str(path))
    assert "\n" not in str(caught.value)


def test_images_that_the_network_cannot_take_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        application(NAME, (32, 32, 4), WAY, pretrained="none")
    with pytest.raises(ValueError, match="xception does not take images of 32x32: "):
        application("xception", (32, 32, 3), WAY, pretrained="none")


def test_a_download_that_fails_says_which_file_to_put_where(monkeypatch):
    def fail(*_):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    with pytest.raises(ValueError, match="cannot be downloaded") as caught:
        application("nasnet_large", (64, 64, 3), WAY)
    message = str(caught.value)
    assert "NASNet-large-no-top.h5 at " in message  # another name than in the cache
    assert "models/nasnet_large_no_top.h5, or pass its path as --pretrained=FILE" in message
    assert "\n" not in message
