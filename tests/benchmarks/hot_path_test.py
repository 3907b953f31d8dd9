"""What a meta-training step is made of: a test that fails when the hot path grows, whatever the machine's speed."""

import collections

import pytest
import tensorflow as tf

from benchmarks.meta_step import SETTINGS, build, random_episodes
from ml_lstm.episode import Episode


def nodes_run(graphs_run, inner_steps):
    """All operations that TensorFlow runs for the meta-gradient at the benchmark's setting (b)."""
    setting = SETTINGS["b"]._replace(inner_steps=inner_steps)
    method = build(setting)
    episodes = Episode(*(tf.constant(part) for part in random_episodes(setting, 1)))
    _, graphs = graphs_run(tf.function(method.meta_gradient, autograph=False), episodes)
    return [node for graph in graphs for node in graph.node]


@pytest.fixture(scope="module")
def nodes(graphs_run):
    return nodes_run(graphs_run, 3)


@pytest.fixture(scope="module")
def per_step(graphs_run, nodes):
    """How many operations of each type one inner step adds."""
    more, fewer = (collections.Counter(node.op for node in some) for some in (nodes, nodes_run(graphs_run, 2)))
    return collections.Counter({name: more[name] - fewer[name] for name in more if more[name] != fewer[name]})


def test_the_learner_takes_at_most_one_fused_kernel_for_each_part_of_a_layer(per_step):
    layers = 4
    # The first one is a matrix product of patches, which are made, like their mean and covariance, once for all steps.
    convolutions = layers - 1
    # The same arithmetic may go by kernels of other names, so these are bounds; that it is there at all is one too.
    assert 0 < per_step["_FusedConv2D"] + per_step["Conv2D"] <= convolutions
    assert 0 < per_step["Conv2DBackpropFilter"] <= convolutions
    assert per_step["Conv2DBackpropInput"] <= convolutions
    assert per_step["BiasAddGrad"] <= 1  # the head's: batch norm takes the others' bias away
    for name in ("FusedBatchNormV3", "FusedBatchNormGradV3"):
        assert per_step[name] <= convolutions, name
    for name in ("MaxPool", "MaxPoolGrad"):
        assert per_step[name] <= layers, name


def test_the_optimizer_takes_one_compiled_call_for_each_block_there_and_one_back(per_step):
    assert 0 < per_step["PartitionedCall"] <= 2 * 10  # 28,485 coordinates of 80 numbers, in blocks of 2^18 at most
    assert not {"Sigmoid", "Tanh", "TanhGrad", "SigmoidGrad", "Log", "Sign", "Split"} & set(per_step)


def test_little_else_is_run(per_step):
    # About thirty are of the first layer's kernel, which has 9 x 32 numbers.
    copies = {"Reshape", "Squeeze", "IdentityN", "Const", "_Retval"}  # of no tensor, or made once
    assert sum(count for name, count in per_step.items() if name not in copies) <= 100
    assert per_step["Reshape"] <= 30
    assert not [name for name in per_step if "PyFunc" in name or "ReadVariable" in name]


def test_an_answer_goes_through_feature_maps_by_convolution_pooling_and_relu_alone():
    setting = SETTINGS["b"]
    method = build(setting)
    episode = Episode(*(tf.constant(part[0]) for part in random_episodes(setting, 1)))
    adaptation = method.adapt(episode.support_images, episode.support_labels)
    graph = tf.function(method.classify, autograph=False).get_concrete_function(adaptation, episode.query_images).graph
    maps = (op for op in graph.get_operations() for y in op.outputs if y.shape.rank == 4 and y.shape[-1] == 32)
    run = [op.type for op in maps if op.outputs[0].shape[0] == setting.n_way * setting.n_query]
    # TensorFlow joins a convolution and its bias, and leaves identities out.
    seen = collections.Counter(name for name in run if not name.startswith("Identity"))
    assert seen == {"Conv2D": 4, "BiasAdd": 4, "MaxPool": 4, "Relu": 4}
