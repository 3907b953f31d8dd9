"""What a network starts from where that is not chance: the weights of one that is trained already."""

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
    """Gives a method the weights of another method's network, its `learner`; its own other weights stay.

    The two networks are compared from the images on, class heads apart: a method may leave out the last layers. A class
    head is taken where it fits. Where a method's batch norm has averages of its own in each episode, those that the
    other one kept over training are not taken.

    Args:
        method: untrained.
        trained: from `initial_weights` to the method there.
        initial_weights: directory of another run, of any method with the same learner, whose network training starts
            from; unset: from chance. To be trained to classify first, by `simple_shot` say, and meta-trained then.

    Returns:
        The names of layers and weights to be trained that were left as they are; all of them where nothing was asked
        for.

    Raises:
        ValueError: if the networks are not the same; the method is then as it was.
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
    """Weights of a network, each with the one of another network that it corresponds to."""
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
    """The weights of a network, in the order of its layers, without those of its class head, and those."""
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
    """Ids of the averages that start anew in each episode, unless they are frozen."""
    layers = [layer for layer in nested_layers(network) if isinstance(layer, EpisodicBatchNormalization)]
    return {
        id(average) for layer in layers if layer.trainable for average in (layer.mean, layer.variance, layer.collected)
    }


def _names(method):
    """By id of a weight: the name of the layer of the network, or of the method, that it is in; else its own."""
    layers = [*method.layers, *method.learner.layers]
    own = {id(weight): weight.name for weight in method.weights}
    return own | {id(weight): layer.name for layer in layers for weight in layer.weights}
