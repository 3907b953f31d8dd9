"""The methods that compare embeddings, each against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.methods import MatchingNetworks, PrototypicalNetworks, RelationNetwork, SiameseNetwork

FEATURES, WAY = 6, 3
PROBLEM = Problem((1, FEATURES, 1), WAY)
RANDOM = np.random.default_rng(0)
SUPPORT, QUERIES = RANDOM.uniform(size=(5, 1, FEATURES, 1)), RANDOM.uniform(size=(4, 1, FEATURES, 1))
LABELS, QUERY_LABELS = np.array([2, 0, 2, 1, 0]), np.array([0, 1, 2, 1])
S, Q = SUPPORT.reshape(5, FEATURES), QUERIES.reshape(4, FEATURES)


def pictures_are_features():
    """An embedding that leaves out everything but the method itself."""
    return keras.Sequential([keras.Input((1, FEATURES, 1), dtype="float64"), keras.layers.Flatten(dtype="float64")])


def logits_of(method):
    return method.classify(method.adapt(SUPPORT, LABELS), QUERIES).numpy()


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
def test_prototypes_are_means_and_logits_minus_the_distances(distance):
    method = PrototypicalNetworks(
        pictures_are_features(), PROBLEM, distance=distance, learn_temperature="never", dtype="float64"
    )
    prototypes = np.stack([S[c == LABELS].mean(0) for c in range(WAY)])
    of = {"squared_euclidean": lambda a, b: ((a - b) ** 2).sum(), "cosine": lambda a, b: 1 - cosine(a, b)}[distance]
    np.testing.assert_allclose(method.adapt(SUPPORT, LABELS)["prototypes"], prototypes)
    np.testing.assert_allclose(logits_of(method), [[-of(q, p) for p in prototypes] for q in Q])


@pytest.mark.parametrize(("distance", "start"), [("squared_euclidean", 1.0), ("cosine", 10.0)])
def test_a_learned_temperature_scales_the_distances(distance, start):
    settings = {"problem": PROBLEM, "distance": distance, "dtype": "float64"}
    plain = PrototypicalNetworks(pictures_are_features(), learn_temperature="never", **settings)
    method = PrototypicalNetworks(pictures_are_features(), learn_temperature="always", **settings)
    np.testing.assert_allclose(logits_of(method), start * logits_of(plain))
    with tf.GradientTape() as tape:
        loss, _ = method.episode_loss(episode(), training=True)
    (gradient,) = tape.gradient(loss, method.trainable_variables)
    assert abs(gradient) > 1e-3
    method.log_temperature.assign(np.log(3.0))
    np.testing.assert_allclose(logits_of(method), 3 * logits_of(plain))


def test_the_paper_has_no_temperature_and_cosines_cannot_do_without():
    assert not PrototypicalNetworks(pictures_are_features(), PROBLEM).weights
    assert len(PrototypicalNetworks(pictures_are_features(), PROBLEM, distance="cosine").weights) == 1


def test_another_distance_is_refused():
    with pytest.raises(ValueError, match="distance must be one of"):
        PrototypicalNetworks(pictures_are_features(), PROBLEM, distance="manhattan")


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_matching_gives_a_class_the_attention_of_its_examples(scale):
    method = MatchingNetworks(pictures_are_features(), PROBLEM, attention_scale=scale, dtype="float64")
    attention = softmax(scale * np.array([[cosine(q, s) for s in S] for q in Q]))
    expected = np.stack([attention[:, c == LABELS].sum(1) for c in range(WAY)], axis=1)
    np.testing.assert_allclose(np.exp(logits_of(method)), expected)


def test_an_attention_scale_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="attention_scale must be positive and finite, got 0"):
        MatchingNetworks(pictures_are_features(), PROBLEM, attention_scale=0)


def lstm_step(weights, x, h, c):
    kernel, recurrent, bias = weights
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def test_full_context_embeddings_follow_the_equations():
    keras.utils.set_random_seed(1)
    method = MatchingNetworks(pictures_are_features(), PROBLEM, full_context=True, read_steps=3, dtype="float64")
    weights = [w.numpy() for w in method.context.over_support.weights]
    order = np.lexsort([S.sum(1), LABELS])
    support, labels, zeros = S[order], LABELS[order], np.zeros(FEATURES)
    g = support.copy()
    for lstm, direction in ((weights[:3], 1), (weights[3:], -1)):
        h, c = zeros, zeros
        for index in range(5)[::direction]:
            h, c = lstm_step(lstm, support[index], h, c)
            g[index] += h
    np.testing.assert_allclose(method.adapt(SUPPORT, LABELS)["features"], g, rtol=1e-6)

    reader, expected = [w.numpy() for w in method.context.reader.weights], []
    for query in Q:
        h, c = zeros, zeros
        for _ in range(3):
            read = softmax(g @ h) @ g
            output, c = lstm_step(reader, np.concatenate([query, read]), h, c)
            h = output + query
        attention = softmax(np.array([cosine(h, row) for row in g]))
        expected.append([attention[labels == k].sum() for k in range(WAY)])
    np.testing.assert_allclose(np.exp(logits_of(method)), expected, rtol=1e-6)


def test_full_context_must_read():
    with pytest.raises(ValueError, match="read_steps must be a whole number, at least 1"):
        MatchingNetworks(pictures_are_features(), PROBLEM, full_context=True, read_steps=0)


def siamese(sigmoid_units=0, **more):
    keras.utils.set_random_seed(2)
    method = SiameseNetwork(pictures_are_features(), PROBLEM, sigmoid_units=sigmoid_units, **more, dtype="float64")
    kernel, bias = (w.numpy() for w in method.similarity.weights)
    if not sigmoid_units:
        return method, lambda a, b: (np.abs(a - b) @ kernel + bias).item()
    inner, shift = (w.numpy() for w in method.squashed.weights)
    assert inner.shape == (FEATURES, sigmoid_units)
    return method, lambda a, b: (np.abs(sigmoid(a @ inner + shift) - sigmoid(b @ inner + shift)) @ kernel + bias).item()


@pytest.mark.parametrize("sigmoid_units", [0, 7])
def test_a_siamese_network_takes_the_best_pair_of_each_class(sigmoid_units):
    method, pair = siamese(sigmoid_units)
    expected = [[max(pair(q, s) for s in S[c == LABELS]) for c in range(WAY)] for q in Q]
    np.testing.assert_allclose(logits_of(method), expected)


@pytest.mark.parametrize("sigmoid_units", [0, 7])
def test_a_siamese_network_may_start_with_the_distance_of_its_features(sigmoid_units):
    method, pair = siamese(sigmoid_units, similarity_start="distance")
    units = sigmoid_units or FEATURES
    expected = np.array([[max(pair(q, s) for s in S[c == LABELS]) for c in range(WAY)] for q in Q])
    np.testing.assert_allclose(logits_of(method), expected)
    np.testing.assert_allclose(method.similarity.kernel, np.full((units, 1), -8 / units))
    assert (expected < 0).all()


def episode():
    return Episode(*(tf.constant(value) for value in (SUPPORT, LABELS, QUERIES, QUERY_LABELS)))


@pytest.mark.parametrize("sigmoid_units", [0, 7])
def test_a_siamese_network_learns_to_verify_pairs_of_both_kinds_alike(sigmoid_units):
    method, pair = siamese(sigmoid_units)
    images, labels = np.concatenate([S, Q]), np.concatenate([LABELS, QUERY_LABELS])
    losses = {True: [], False: []}
    for a in range(9):
        for b in range(9):
            if a != b:
                same = labels[a] == labels[b]
                probability = sigmoid(pair(images[a], images[b]))
                losses[same].append(-np.log(probability if same else 1 - probability))
    loss, _ = method.episode_loss(episode(), training=True)
    np.testing.assert_allclose(loss, (np.mean(losses[True]) + np.mean(losses[False])) / 2)


def relation_network(**more):
    keras.utils.set_random_seed(3)
    maps = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)])
    return RelationNetwork(maps, Problem((4, 4, 1), WAY), **more)


MAPS, QUERY_MAPS = (RANDOM.uniform(size=(n, 4, 4, 1)).astype("float32") for n in (5, 4))


def test_relation_scores_are_those_of_a_network_on_joined_maps():
    method = relation_network()
    module, features = method.relation, method.learner
    classes = np.stack([features(MAPS[c == LABELS]).numpy().mean(0) for c in range(WAY)])
    joined = [[np.concatenate([c, q], axis=-1) for c in classes] for q in features(QUERY_MAPS).numpy()]
    kernel = np.concatenate([module.of_class.kernel, module.of_query.kernel], axis=2)
    whole = tf.nn.conv2d(np.reshape(joined, (12, 4, 4, 4)), kernel, 1, "SAME") + module.of_query.bias
    scores = module.rest(whole).numpy().reshape(4, WAY)
    logits = method.classify(method.adapt(MAPS, LABELS), QUERY_MAPS)
    np.testing.assert_allclose(np.exp(logits), sigmoid(scores), rtol=1e-5)


@pytest.mark.parametrize(("start", "alike"), [("random", False), ("difference", True)])
def test_a_relation_network_may_start_from_the_difference_of_two_maps(start, alike):
    module = relation_network(relation_start=start).relation
    classes, queries = (RANDOM.uniform(size=(n, 4, 4, 2)).astype("float32") for n in (WAY, 4))
    scores = module(classes, queries)
    assert np.std(scores) > 1e-3
    assert np.allclose(module(classes + 1, queries + 1), scores, rtol=1e-5, atol=1e-5) == alike


def test_relation_scores_are_trained_towards_one_and_zero():
    method = relation_network()
    training = Episode(*(tf.constant(value) for value in (MAPS, LABELS, QUERY_MAPS, QUERY_LABELS)))
    loss, logits = method.episode_loss(training, training=True)
    related = QUERY_LABELS[:, None] == np.arange(WAY)
    np.testing.assert_allclose(loss, np.mean((np.exp(logits) - related) ** 2), rtol=1e-5)


def test_relation_scores_are_normalised_by_their_own_pairs_in_training_only():
    method = relation_network()
    training = Episode(*(tf.constant(value) for value in (MAPS, LABELS, QUERY_MAPS, QUERY_LABELS)))
    maps, query_maps = method.learner(MAPS).numpy(), method.learner(QUERY_MAPS)
    classes = np.stack([maps[c == LABELS].mean(0) for c in range(WAY)])
    scores = {}
    for normalised in (False, True):
        with keras.StatelessScope():
            scores[normalised] = method.relation(classes, query_maps, training=normalised).numpy()
    assert not np.allclose(scores[False], scores[True], rtol=1e-2)
    logits = method.classify(method.adapt(MAPS, LABELS), QUERY_MAPS)
    np.testing.assert_allclose(np.exp(logits), sigmoid(scores[False]), rtol=1e-5)
    _, logits = method.episode_loss(training, training=True)
    np.testing.assert_allclose(np.exp(logits), sigmoid(scores[True]), rtol=1e-5)


def test_meta_training_moves_the_running_averages_by_the_mean_over_the_meta_batch():
    keras.utils.set_random_seed(4)
    learner = keras.Sequential(
        [keras.Input((1, FEATURES, 1)), EpisodicBatchNormalization(0.25), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    method = PrototypicalNetworks(learner, PROBLEM)
    method.compile(optimizer=keras.optimizers.SGD(0.0))
    batches = [RANDOM.uniform(size=(2, 9, 1, FEATURES, 1)).astype("float32") for _ in range(2)]
    for images in batches:
        labels, query_labels = np.stack([LABELS] * 2), np.stack([QUERY_LABELS] * 2)
        values = Episode(images[:, :5], labels.astype("int32"), images[:, 5:], query_labels.astype("int32"))
        method.fit(tf.data.Dataset.from_tensors(values), verbose=0)
    first, second = (images.reshape(2, -1) for images in batches)
    norm = learner.layers[0]
    for average, of in ((norm.mean, np.mean), (norm.variance, np.var)):
        start, newer = (np.mean([of(episode) for episode in images]) for images in (first, second))
        np.testing.assert_allclose(average, [0.75 * start + 0.25 * newer], rtol=1e-5)
    before = norm.mean.numpy()
    method.classify(method.adapt(batches[0][0, :5], LABELS), batches[0][0, 5:], query_statistics="queries")
    np.testing.assert_array_equal(norm.mean, before)
