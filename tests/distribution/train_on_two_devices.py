"""Trains what is named on one device and on two logical ones: prints both as JSON, a line to each.

A name is that of a method, or `METHOD, averaged`, `METHOD, broken` (its fourth episode) or `METHOD, compiled`.
"""

import copy
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ml_lstm import data
from ml_lstm.command_line import devices
from ml_lstm.distribution import Distribution, distribution
from ml_lstm.learners import LEARNERS
from ml_lstm.methods.families import learned_optimizer
from ml_lstm.runs import settings
from ml_lstm.training import AverageWeights

NAMES = devices.use(None, intra_op_threads=1, inter_op_threads=1, devices=["cpu:0", "cpu:1"])
sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))
# The smallest of every method; it computes as it is imported, so the devices are set before.
from interface_test import SHAPE, SMALL, tiny  # noqa: E402

BLOCK_SIZE = learned_optimizer._BLOCK_SIZE
START, STEPS, META_BATCH, CLIP_NORM = 8, 2, 4, 0.05
LEARNERS["tiny"] = tiny
DATA = data.load("glyphs", n_way=5, k_shot=1, n_query=2, image_size=SHAPE[0])


class Logs(keras.callbacks.Callback):
    """Keeps what each step says."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({name: float(value) for name, value in logs.items()})


def with_a_broken_one(sampler, number):
    """A sampler whose episode of that number has pictures that are not finite."""
    broken, whole = copy.copy(sampler), sampler.sample

    def sample(index):
        episode, broken_here = whole(index), tf.equal(index, number)
        support, queries = (
            tf.where(broken_here, np.nan, tf.cast(images, tf.float32) / 255)
            for images in (episode.support_images, episode.query_images)
        )
        return episode._replace(support_images=support, query_images=queries)

    broken.sample = sample
    return broken


def listed(method):
    """The name of each variable, and its values."""
    return [(v.name, np.asarray(tf.convert_to_tensor(v)).ravel().tolist()) for v in method.variables]


def trained(name, shared, broken=None, average=False, **flags):
    """What a few steps leave: variables and logs. By SGD, as Adam enlarges what is zero but for rounding.

    Also the weights' `averages`, if they are asked for, as the method has them when `fit` has ended.
    """
    with shared.scope():
        values = settings.complete(SMALL | {"method": name, "seed": 3, "batch_size": 8} | flags)
        method = settings.build_method(values, DATA.problem._replace(image_mean=[0.8], image_std=[3.0]))
        method.compile(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=CLIP_NORM))
        method.optimizer.build(method.trainable_variables)
        averages = [AverageWeights(method, average_weights=0.999)] if average else []
    start = method.get_weights()
    shared.prepare(method, lambda: False)
    logs = Logs()
    sampler = method.training_sampler(DATA)
    if broken is not None:
        sampler = with_a_broken_one(sampler, broken)
    # Not from the first one, so that a share taken from the wrong place shows.
    episodes = shared.dataset(sampler, START, META_BATCH)
    method.fit(episodes, steps_per_epoch=STEPS, verbose=0, shuffle=False, callbacks=[*averages, logs])
    lent = listed(method) if average else None  # as fit leaves it
    for each in averages:
        each.give_back()
    moved = max(float(np.abs(now - then).max()) for now, then in zip(method.get_weights(), start, strict=True))
    return {
        "variables": listed(method),
        "averages": lent,
        "logs": logs.steps,
        "moved": moved,
        "first_non_finite_episode": int(tf.convert_to_tensor(method.first_non_finite_episode.result())),
    }


if __name__ == "__main__":
    one, two = Distribution(), distribution(NAMES, strategy="mirrored")
    two.start()
    for name in sys.argv[1:]:
        method, _, how = name.partition(", ")
        # Eagerly where not the graph is what is tested: two steps take less time than to trace it for them.
        tf.config.run_functions_eagerly(how == "broken" or (not how and name != "maml"))
        learned_optimizer._BLOCK_SIZE = 1000 if how == "compiled" else BLOCK_SIZE
        more = {
            "": {},
            # Batch norm's averages start anew with each episode in MAML, and are kept over training in others.
            "averaged": {"average": True},
            "broken": {"broken": START + 3},
            "compiled": {"hidden_units": 2},
        }[how]
        results = [trained(method, shared, **more) for shared in (one, two)]
        print(json.dumps({"name": name, "results": results}), flush=True)
