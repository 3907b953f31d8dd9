"""What random layers draw from: in meta-training the number of the meta-step, else nothing that changes."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import tensorflow as tf

_META_STEP: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar("meta_step", default=None)


@contextlib.contextmanager
def meta_training(step: tf.Tensor) -> Iterator[None]:
    """Has random layers draw numbers of a meta-step's own in what is called, or traced, inside.

    They follow from the step alone, so a run that was interrupted draws what it would have drawn.

    Args:
        step: a whole number, scalar.
    """
    token = _META_STEP.set(step)
    try:
        yield
    finally:
        _META_STEP.reset(token)


def in_meta_training() -> bool:
    """Whether this is called, or traced, inside `meta_training`."""
    return _META_STEP.get() is not None


def seed_states(model: keras.layers.Layer) -> list[tuple[keras.Variable, tf.Tensor]]:
    """The states of a model's random layers, of `keras.layers.Dropout` say, and what each is to start from.

    That follows from its place among them and, in `meta_training`, from the meta-step. The variables' own values do not
    last: Keras draws them anew for each model, does not save them, and changes them with every call.

    Args:
        model: a built model or layer.

    Returns:
        Pairs for `keras.StatelessScope`, in the order of the model's variables.
    """
    states = [variable for variable in model.non_trainable_variables if variable.name == "seed_generator_state"]
    step = _META_STEP.get()

    def start(place, variable):
        if step is None:
            return tf.constant([place, 0], variable.dtype)
        # No number of another meta-step's, nor of those outside of meta-training.
        return tf.stack([place + len(states) * (1 + tf.cast(step, variable.dtype)), tf.zeros([], variable.dtype)])

    return [(variable, start(place, variable)) for place, variable in enumerate(states)]
