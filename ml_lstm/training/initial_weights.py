"""Initial weights of a network from another network that is already trained."""

from collections.abc import Callable

from ml_lstm.keras_private import nested_layers
from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.learners.embedding import ends_in_class_head
from ml_lstm.learners.structure import last_layer
from ml_lstm.options import checked
from ml_lstm.training.meta_step import MetaLearner


@checked
def take_network(
    method: MetaLearner, trained: Callable[[str], MetaLearner], *, initial_weights: str | None = None
) -> list[str]:
    """Gives a method the weights of another method's network, its `learner`; the method's other weights stay.

    The comparison of the two networks starts at the images and ignores class heads: a method may omit the last layers.
    A class head is copied if it fits. If a method's batch norm has its own averages in each episode, the averages that
    the other method kept over training are not copied.

    Args:
        method: untrained.
        trained: returns the method of `initial_weights`.
        initial_weights: directory of another run, of any method with the same learner; training starts from its
            network. Unset: from random weights. Use it to train a network to classify first, for example by
            `simple_shot`, and to meta-train it afterwards.

    Returns:
        The names of trainable layers and weights that were left unchanged; all of them without `initial_weights`.

    Raises:
        ValueError: if the networks are not the same; the method is then unchanged.
    """
    taken = set()
    if initial_weights is not None:
        source = trained(initial_weights)
        pairs = _pairs(method.learner, source.learner, method.n_way, source.n_way)
        kept_back = set() if method.keeps_averages else _episodic_averages(method.learner)
        for mine, theirs in pairs:
            if id(mine) not in kept_back:
                mine.assign(theirs)
        taken = {id(mine) for mine, _ in pairs}
    names = _names(method)
    return list(dict.fromkeys(names[id(weight)] for weight in method.trainable_weights if id(weight) not in taken))


def _pairs(network, other, n_way, other_n_way):
    """Pairs of a network's weights and the corresponding weights of another network."""
    (body, head), (other_body, other_head) = _parts(network, n_way), _parts(other, other_n_way)
    pairs = list(zip(body, other_body, strict=False))
    for mine, theirs in pairs:
        if _form(mine) != _form(theirs):
            raise ValueError(f"{_described(mine)}, there {_described(theirs)}")
    if not pairs:
        raise ValueError("no weights here, or none there")
    if [_form(weight) for weight in head] == [_form(weight) for weight in other_head]:
        pairs += zip(head, other_head, strict=True)
    return pairs


def _parts(network, n_way):
    """The weights of a network in the order of its layers: those without the class head, and those of the head."""
    last = last_layer(network)
    head = {id(weight) for weight in last.weights} if last and ends_in_class_head(network, n_way) else set()
    return (
        [weight for weight in network.weights if id(weight) not in head],
        [weight for weight in network.weights if id(weight) in head],
    )


def _form(weight):
    return weight.name, tuple(weight.shape)


def _described(weight):
    return f"{weight.path} is {'x'.join(map(str, weight.shape))}"


def _episodic_averages(network):
    """Ids of the averages that restart in each episode, unless they are frozen."""
    layers = [layer for layer in nested_layers(network) if isinstance(layer, EpisodicBatchNormalization)]
    return {
        id(average) for layer in layers if layer.trainable for average in (layer.mean, layer.variance, layer.collected)
    }


def _names(method):
    """By id of a weight: the name of its layer in the network or the method; else the weight's own name."""
    layers = [*method.layers, *method.learner.layers]
    own = {id(weight): weight.name for weight in method.weights}
    return own | {id(weight): layer.name for layer in layers for weight in layer.weights}
