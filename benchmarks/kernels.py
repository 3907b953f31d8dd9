"""Times a learner's kernels, here and in PyTorch: python -m benchmarks.kernels --setting=a|b

Each kernel of `learners.conv4` on one batch of an inner step, layer by layer: milliseconds in TensorFlow as `ml_lstm`
calls it, milliseconds in PyTorch, and at which share of the machine's matrix-product rate a convolution runs its
multiply-adds. If a share is near 1, only fewer multiply-adds would be faster.
"""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import torch
import torch.nn.functional as F
from absl import flags, logging

from benchmarks.meta_step import SETTINGS, Setting, multiply_adds_per_second
from benchmarks.timing import seconds
from ml_lstm.command_line import command, devices, records
from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.convolution import Convolution, NormalizedConvolution

FLAGS = flags.FLAGS

_LAYERS = 4


def measure(setting: Setting, repeats: int) -> dict[str, Any]:
    """Milliseconds of each kernel: `forward`, and `backward` for all gradients that an inner step needs."""
    rows = []
    height, width, channels = setting.image_shape
    for layer in range(1, _LAYERS + 1):
        shape = (setting.inner_batch_size, height, width, channels)
        rows += [{"layer": layer, **row} for row in _rows(shape, setting.filters, layer == 1, repeats)]
        height, width, channels = height // 2, width // 2, setting.filters
    return {"rows": rows, "multiply_adds_per_second": multiply_adds_per_second()}


def _rows(shape, filters, first, repeats):
    """The kernels of one block; the first block needs no gradient with respect to its images."""
    count, height, width, channels = shape
    maps, pooled = (count, height, width, filters), (count, height // 2, width // 2, filters)
    multiply_adds = count * height * width * filters * channels * 9
    convolution = Convolution(filters, 3, padding="same", use_bias=False)
    normalization = EpisodicBatchNormalization()
    block = NormalizedConvolution(filters, 3, padding="same")
    convolution.build(shape)
    normalization.build(maps)
    block.build(shape)
    theirs = torch.randn(filters, channels, 3, 3)
    scale, offset = torch.ones(filters), torch.zeros(filters)

    def stateless(layer, **arguments):
        averages = [variable.value for variable in layer.non_trainable_variables]
        return lambda x, *weights: layer.stateless_call(list(weights), averages, x, **arguments)[0]

    def normalize(x, *weights):
        return F.batch_norm(x, None, None, *weights, training=True)

    ours = {
        "convolution": (stateless(convolution), shape, convolution.trainable_variables, not first),
        "batch norm": (stateless(normalization, training=True), maps, normalization.trainable_variables, True),
        "max-pooling": (lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), maps, [], True),
        "ReLU": (tf.nn.relu, pooled, [], True),
    }
    others = {
        "convolution": (lambda x, kernel: F.conv2d(x, kernel, padding=1), [theirs]),
        "batch norm": (normalize, [scale, offset]),
        "max-pooling": (lambda x: F.max_pool2d(x, 2), []),
        "ReLU": (F.relu, []),  # before pooling, as is usual in PyTorch
    }
    if first:  # fused, as patches
        ours["convolution + batch norm"] = (stateless(block, training=True), shape, block.trainable_variables, False)
        others["convolution + batch norm"] = (
            lambda x, kernel, *weights: normalize(F.conv2d(x, kernel, padding=1), *weights),
            [theirs, scale, offset],
        )
    for name, (function, inputs, weights, needs_inputs) in ours.items():
        their_inputs = maps if name == "ReLU" else inputs
        timed = _one_more if name == "convolution + batch norm" else _ours
        forward, both = timed(function, inputs, [weight.value for weight in weights], needs_inputs, repeats)
        their_forward, their_both = _theirs(*others[name], their_inputs, needs_inputs, repeats)
        yield {
            "kernel": name,
            "ours_forward_ms": forward,
            "ours_backward_ms": both - forward,
            "pytorch_forward_ms": their_forward,
            "pytorch_backward_ms": their_both - their_forward,
            "multiply_adds": multiply_adds * (2 if first else 3) if name.startswith("convolution") else 0,
        }


def _ours(function, shape, weights, needs_inputs, repeats, steps=1):
    """Times the forward pass, and forward and backward together, for `steps` steps on the same inputs."""
    x = tf.random.normal(shape)
    weights = [[(1.0 + step) * weight for weight in weights] for step in range(steps)]
    upstream = [tf.random.normal(tf.shape(function(x, *each))) for each in weights]

    @tf.function(autograph=False)
    def forward(x, weights):
        return [function(x, *each)[:1] for each in weights]

    @tf.function(autograph=False)
    def both(x, upstream, weights):
        watched = [*([x] if needs_inputs else []), *tf.nest.flatten(weights)]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            outputs = [function(x, *each) for each in weights]
        # Includes the outputs; otherwise TensorFlow would omit what gradients do not need.
        gradients = tape.gradient(outputs, watched, output_gradients=upstream)
        return [each[:1] for each in (*outputs, *gradients)]

    @tf.function(autograph=False)
    def nothing(x, upstream, weights):
        return [each[:1] for each in tf.nest.flatten((x, upstream, weights))]

    call = _milliseconds(lambda: nothing(x, upstream, weights), repeats)
    return (
        _milliseconds(lambda: forward(x, weights), repeats) - call,
        _milliseconds(lambda: both(x, upstream, weights), repeats) - call,
    )


def _one_more(*arguments):
    """The time of each further step on the inputs of the first: TensorFlow computes patches once for all steps."""
    few, many = (_ours(*arguments, steps=steps) for steps in (1, 5))
    return [(after - before) / 4 for before, after in zip(few, many, strict=True)]


def _theirs(function, weights, shape, needs_inputs, repeats):
    count, height, width, channels = shape
    x = torch.randn(count, channels, height, width, requires_grad=needs_inputs)
    weights = [weight.clone().requires_grad_() for weight in weights]
    watched = [*([x] if needs_inputs else []), *weights]
    with torch.no_grad():
        upstream = torch.randn_like(function(x, *weights))

    def forward():
        function(x, *weights)

    def both():
        torch.autograd.grad(function(x, *weights), watched, upstream)

    return _milliseconds(forward, repeats), _milliseconds(both, repeats)


def _milliseconds(call: Callable[[], Any], repeats: int) -> float:
    return 1e3 * statistics.median(seconds(call, 3 + repeats)[3:])


def table(results: dict[str, Any]) -> str:
    """The measurements as text."""
    lines = [f"{'':32} {'ours, ms':>16} {'PyTorch, ms':>16} {'ratio':>6} {'of matrix rate':>15}"]
    for row in results["rows"]:
        ours, theirs = ([row[f"{who}_{way}_ms"] for way in ("forward", "backward")] for who in ("ours", "pytorch"))
        line = f"{row['layer']}: {row['kernel']}".ljust(32)
        line += "".join(f" {forward:7.2f} +{max(back, 0):7.2f}" for forward, back in (ours, theirs))
        line += f" {sum(theirs) / sum(ours):6.2f}"
        if row["multiply_adds"]:
            line += f" {row['multiply_adds'] / results['multiply_adds_per_second'] / sum(ours) * 1e3:15.2f}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Measures the setting that the flags name, prints a table and writes the same to `--json`."""
    devices.use_as_flagged()
    results = {
        "setting": FLAGS.setting,
        "repeats": FLAGS.repeats,
        **measure(SETTINGS[FLAGS.setting], FLAGS.repeats),
        "tensorflow": tf.__version__,
        "pytorch": torch.__version__,
        "device": devices.describe(),
        "commit": records.commit(),
    }
    print(devices.in_words(results["device"]))
    print(table(results))
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_enum("setting", "a", sorted(SETTINGS), "See benchmarks.meta_step.")
    flags.DEFINE_integer("repeats", 15, "Number of timed runs of each kernel.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    devices.define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
