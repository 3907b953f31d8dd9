"""Measures time and memory of a meta-training episode against a floor: python -m benchmarks.meta_step --setting=a|b

The floor is measured in the same process, right after the episodes, and has two parts:

* the learner's multiply-adds at the machine's matrix-product rate, see `learner_multiply_adds`;
* the coordinate-wise LSTM's least memory traffic at the machine's copy rate, see `lstm_traffic_bytes`. Its
  own multiply-adds are not part of the floor; they are printed below it.

It is the floor for first-order meta-gradients without recomputation, whatever the flags are.
"""

import math
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import flags, logging

from benchmarks.timing import peak_resident_bytes, seconds
from ml_lstm import learners, methods
from ml_lstm.cells import MetaLSTMCell
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.command_line import command, devices, records
from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import LearnerState

FLAGS = flags.FLAGS


class Setting(NamedTuple):
    """The episodes to train on, with images [height, width, channels], and `MetaLSTM`'s arguments."""

    image_shape: tuple[int, int, int]
    n_way: int
    k_shot: int
    n_query: int
    inner_steps: int
    inner_batch_size: int
    hidden_units: int = 20
    filters: int = 32
    second_order: bool = False
    recompute_inner_steps: bool = False
    mixed_precision: bool = False


SETTINGS = {
    "a": Setting((84, 84, 3), n_way=5, k_shot=5, n_query=15, inner_steps=8, inner_batch_size=25),
    "b": Setting((28, 28, 1), n_way=5, k_shot=1, n_query=15, inner_steps=12, inner_batch_size=5),
}

_CHANGEABLE = ("inner_steps", "filters", "second_order", "recompute_inner_steps", "mixed_precision")


def forward_multiply_adds(learner: keras.Model) -> int:
    """Multiply-adds of one image's forward pass: in convolutions and dense layers, output places x kernel size."""
    counted = (keras.layers.Conv2D, keras.layers.Dense)
    layers = [layer for layer in learner.layers if isinstance(layer, counted)]
    return sum(math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape) for layer in layers)


def learner_multiply_adds(setting: Setting, learner: keras.Model) -> int:
    """Multiply-adds of an episode in the learner: three times a forward pass per image, as a backward pass costs two.

    The images are the inner steps' batches and the queries. The first layer's gradient with respect to the images,
    which nothing needs, is included.
    """
    images = setting.inner_steps * setting.inner_batch_size + setting.n_way * setting.n_query
    return 3 * images * forward_multiply_adds(learner)


def lstm_traffic_bytes(coordinates: int, hidden_units: int, inner_steps: int) -> int:
    """Least memory traffic of an episode in the coordinate-wise LSTM, bytes read and written.

    With P coordinates, H hidden units and F = 4 features, in float32, an inner step that computes no matrix
    product twice moves at least, in values per coordinate,

    * forward, F + 8 H: read x [P, F], h and c [P, H]; write h, c and, for the backward pass, four gates [P, H];
    * backward, F + 10 H: read x, the h and c before the step, four gates, d_h and d_c; write d_h and d_c.

    That is 4 P (18 H + 2 F) bytes; none for H = 0. The weights, and the update rule's state (tensors of [P]),
    are not included.
    """
    numbers = 18 * hidden_units + 2 * NUM_FEATURES if hidden_units else 0
    return 4 * coordinates * numbers * inner_steps


def lstm_multiply_adds(coordinates: int, hidden_units: int, inner_steps: int) -> int:
    """Multiply-adds of an episode in the coordinate-wise LSTM's x W + h U, four gates, forward and backward."""
    return 3 * 4 * hidden_units * (NUM_FEATURES + hidden_units) * coordinates * inner_steps


def multiply_adds_per_second(repeats: int = 5) -> float:
    """The best rate of a float32 `tf.matmul` of square matrices."""
    rates = []
    for size in (1024, 2048):
        matrix = tf.random.normal([size, size])
        rates.append(size**3 / min(seconds(lambda x=matrix: tf.matmul(x, x)[0, 0].numpy(), repeats)))
    return max(rates)


def copy_bytes_per_second(repeats: int = 5) -> float:
    """The best rate, bytes read and written, at which a float32 tensor is added to a 256 MiB variable.

    In place this is two reads and a write; a copy to a new tensor would also time the system's page faults.
    """
    tensor = tf.random.normal([2**26])
    variable = tf.Variable(tensor + 1.0)
    durations = seconds(lambda: variable.assign_add(tensor)[0].numpy(), repeats)
    return 3 * 4 * 2**26 / min(durations)


def build(setting: Setting) -> methods.MetaLSTM:
    """The method that a setting trains, with its `train_function` ready."""
    method = methods.MetaLSTM(
        learners.conv4(
            setting.image_shape, setting.n_way, filters=setting.filters, mixed_precision=setting.mixed_precision
        ),
        Problem(setting.image_shape, setting.n_way),
        MetaLSTMCell(hidden_units=setting.hidden_units),
        inner_steps=setting.inner_steps,
        inner_batch_size=setting.inner_batch_size,
        second_order=setting.second_order,
        recompute_inner_steps=setting.recompute_inner_steps,
    )
    method.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=0.25))
    method.make_train_function()
    return method


def measure(setting: Setting, repeats: int, meta_batch_size: int = 1) -> dict[str, Any]:
    """Times meta-training as Keras's `fit` runs it, then the rates for the floor.

    Args:
        setting: what to train on.
        repeats: meta-steps to time, after three that are not timed.
        meta_batch_size: episodes in a meta-step.

    Returns:
        Seconds and counts of one episode, rates, and the process's memory (the host's, on an accelerator).
    """
    start_memory = peak_resident_bytes()
    method = build(setting)
    batches = iter(tf.data.Dataset.from_tensors(random_episodes(setting, meta_batch_size)).repeat())
    # The first calls trace, allocate and choose kernels.
    steps = seconds(lambda: float(method.train_function(batches)["loss"]), 3 + repeats)[3:]
    per_episode = [step / meta_batch_size for step in steps]
    peak_memory = peak_resident_bytes()
    found = floor(setting, method.learner)
    median = statistics.median(per_episode)
    return {
        "seconds_per_episode": median,
        "seconds_per_episode_min": min(per_episode),
        "seconds_per_episode_max": max(per_episode),
        "episodes_per_second": 1.0 / median,
        "ratio_to_floor": median / found["floor_seconds"],
        "matrix_rate_share": found["floor_learner_seconds"] / median,
        "learner_seconds": learner_seconds(setting, method, repeats),
        "coordinates": method.network.num_parameters,
        **found,
        "peak_resident_bytes": peak_memory,
        "peak_resident_bytes_above_start": peak_memory - start_memory,
        "jit_compile": method.jit_compile,
    }


def floor(setting: Setting, learner: keras.Model) -> dict[str, float]:
    """The floor of a meta-training episode: its seconds, its parts, and the counts and rates it is computed from."""
    coordinates = sum(math.prod(variable.shape) for variable in learner.trainable_variables)
    lstm = (coordinates, setting.hidden_units, setting.inner_steps)
    multiply_adds, traffic = learner_multiply_adds(setting, learner), lstm_traffic_bytes(*lstm)
    multiply_add_rate, copy_rate = multiply_adds_per_second(), copy_bytes_per_second()
    floor_learner, floor_lstm = multiply_adds / multiply_add_rate, traffic / copy_rate
    return {
        "floor_seconds": floor_learner + floor_lstm,
        "floor_learner_seconds": floor_learner,
        "floor_lstm_seconds": floor_lstm,
        "learner_multiply_adds": multiply_adds,
        "lstm_traffic_bytes": traffic,
        "lstm_multiply_adds": lstm_multiply_adds(*lstm),
        "multiply_adds_per_second": multiply_add_rate,
        "copy_bytes_per_second": copy_rate,
    }


def learner_seconds(setting: Setting, method: methods.MetaLSTM, repeats: int) -> float:
    """The learner's own time in an episode: the same number of plain gradient descent steps, and the queries' gradient.

    It uses only TensorFlow's own kernels. Median seconds of `repeats` calls, after three that are not timed.
    """
    network, episode = method.network, Episode(*(tf.constant(part[0]) for part in random_episodes(setting, 1)))

    def gradient(state, images, labels):
        with tf.GradientTape() as tape:
            tape.watch(state.parameters)
            logits, collected = network(state, images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return tape.gradient(loss, state.parameters), collected

    @tf.function(autograph=False, jit_compile=method.jit_compile)
    def run():
        state, batch = network.initial_state(), setting.inner_batch_size
        images = method.normalize(episode.support_images)[:batch]
        for _ in range(setting.inner_steps):
            change, collected = gradient(state, images, episode.support_labels[:batch])
            state = LearnerState(state.parameters - 0.01 * change, collected)
        return gradient(state, method.normalize(episode.query_images), episode.query_labels)[0]

    return statistics.median(seconds(lambda: run().numpy(), 3 + repeats)[3:])


def random_episodes(setting: Setting, size: int) -> Episode:
    """A meta-batch of `size` episodes of random pixels."""
    generator = np.random.default_rng(0)
    parts = []
    for per_class in (setting.k_shot, setting.n_query):
        labels = np.tile(np.repeat(np.arange(setting.n_way, dtype=np.int32), per_class), (size, 1))
        parts += [generator.integers(256, size=labels.shape + setting.image_shape, dtype=np.uint8), labels]
    return Episode(*parts)


_TABLE = """\
setting             {setting}: {shape}
seconds/episode     {seconds_per_episode:.4f} median ({seconds_per_episode_min:.4f}-{seconds_per_episode_max:.4f})
  the learner alone {learner_seconds:.4f}, by gradient descent
episodes/s          {episodes_per_second:.2f}
floor, seconds      {floor_seconds:.4f}
  learner           {floor_learner_seconds:.4f}: {learner_multiply_adds:.3g} at {multiply_adds_per_second:.3g}/s
  LSTM traffic      {floor_lstm_seconds:.4f}: {lstm_traffic_bytes:.3g} B at {copy_bytes_per_second:.3g} B/s
  left out, LSTM    {lstm_multiply_adds:.3g} multiply-adds
ratio to the floor  {ratio_to_floor:.2f}
matrix rate, share  {matrix_rate_share:.2f}
peak memory, bytes  {peak_resident_bytes:.4g} resident, {peak_resident_bytes_above_start:.4g} above the start
meta-batch          {meta_batch_size}, jit_compile={jit_compile}, {repeats} repeats
TensorFlow          {tensorflow}
device              {device}
threads             intra-op {intra_op_threads}, inter-op {inter_op_threads} (0: TensorFlow's choice)
commit              {commit}"""


def main() -> None:
    """Measures the setting named by the flags, prints a table and writes the same to `--json`."""
    devices.use_as_flagged()
    names = ("setting", "repeats", "meta_batch_size", "intra_op_threads", "inter_op_threads")
    changed = {name: FLAGS[name].value for name in _CHANGEABLE if FLAGS[name].value is not None}
    setting = SETTINGS[FLAGS.setting]._replace(**changed)
    results = {
        **{name: FLAGS[name].value for name in names},
        "episode": setting._asdict(),
        "tensorflow": tf.__version__,
        "device": devices.describe(),
        "commit": records.commit(),
        **measure(setting, FLAGS.repeats, FLAGS.meta_batch_size),
    }
    shape = ", ".join(f"{name} {value}" for name, value in setting._asdict().items())
    print(_TABLE.format(**results | {"shape": shape, "device": devices.in_words(results["device"])}))
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_enum("setting", "a", sorted(SETTINGS), "a: 84x84x3, 5-way 5-shot. b: 28x28x1, 5-way 1-shot.")
    flags.DEFINE_integer("repeats", 10, "Number of timed meta-steps.", lower_bound=1)
    flags.DEFINE_integer("meta_batch_size", 1, "Episodes in a meta-step.", lower_bound=1)
    flags.DEFINE_integer("inner_steps", None, "Inner steps. Unset: the setting's.", lower_bound=1)
    flags.DEFINE_integer("filters", None, "Filters of each convolution. Unset: the setting's 32.", lower_bound=1)
    flags.DEFINE_boolean("second_order", False, "Let the meta-gradient go through the learner's gradients too.")
    flags.DEFINE_boolean("recompute_inner_steps", False, "Compute inner steps again for the meta-gradient.")
    flags.DEFINE_boolean("mixed_precision", False, "Let the learner's convolutions compute in bfloat16.")
    flags.DEFINE_string("json", None, "File to write the results to.")
    devices.define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
