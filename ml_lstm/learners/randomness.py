"""The seeds of random layers: in meta-training they depend on the number of the meta-step, else they are constant."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import tensorflow as tf

_META_STEP: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar("meta_step", default=None)


@contextlib.contextmanager
def meta_training(step: tf.Tensor) -> Iterator[None]:
    """Makes random layers draw new numbers at each meta-step, in code that is called or traced inside.

    The numbers depend only on the step, so an interrupted run draws the same numbers after it resumes.

    Args:
        step: the number of the meta-step, a scalar.
    """
    token = _META_STEP.set(step)
    try:
        yield
    finally:
        _META_STEP.reset(token)


def in_meta_training() -> bool:
    """Whether this call, or its trace, is inside `meta_training`."""
    return _META_STEP.get() is not None


def seed_states(model: keras.layers.Layer) -> list[tuple[keras.Variable, tf.Tensor]]:
    """The states of a model's random layers (for example `keras.layers.Dropout`), each with its starting value.

    The starting value depends on the layer's place among them and, in `meta_training`, on the meta-step. The variables'
    own values do not last: Keras draws them anew for each model, does not save them, and changes them in every call.

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
        # Differs from the numbers of every other meta-step and of calls outside meta-training.
        return tf.stack([place + len(states) * (1 + tf.cast(step, variable.dtype)), tf.zeros([], variable.dtype)])

    return [(variable, start(place, variable)) for place, variable in enumerate(states)]
