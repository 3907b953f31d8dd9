"""Every flag of the commands, its help and its validator."""

import math
import re
from typing import Any

from absl import flags

from ml_lstm.cells.meta_lstm import GATE_FEEDBACKS
from ml_lstm.data import AUGMENTATIONS, SOURCES
from ml_lstm.data.folder import SPLIT_FRACTIONS
from ml_lstm.data.omniglot import PROTOCOLS
from ml_lstm.distribution import STRATEGIES
from ml_lstm.learners import LEARNERS
from ml_lstm.methods import METHODS, mann
from ml_lstm.methods.families.gradient_based import QUERY_STATISTICS
from ml_lstm.methods.meta_lstm import CELLS
from ml_lstm.methods.prototypical import DISTANCES

FLAGS = flags.FLAGS

# Flags that decide a run's weights: a run directory is bound to their values.
_RUN_FLAGS: list[str] = []


def _run_flag(define, name, *args, **kwargs):
    define(name, *args, **kwargs)
    _RUN_FLAGS.append(name)


def _range_flag(name: str, default: str, help_text: str):
    """Two numbers, `low,high`."""
    _run_flag(flags.DEFINE_list, name, default, help_text)

    def is_range(value):
        try:
            low, high = map(float, value)
        except ValueError:
            return False
        return -math.inf < low <= high < math.inf

    flags.register_validator(name, is_range, "must be two numbers, low,high")


def _are_shares(values) -> bool:
    try:
        shares = [float(value) for value in values]
    except ValueError:
        return False
    return len(shares) == 3 and min(shares) > 0 and math.isclose(sum(shares), 1, abs_tol=1e-6)


def _are_devices(names) -> bool:
    kinds = {re.fullmatch(r"(cpu|gpu)(:[0-9]{1,3})?", name) for name in names}
    numbered = [name if ":" in name else f"{name}:0" for name in names]
    return None not in kinds and len({kind[1] for kind in kinds}) <= 1 and len(set(numbered)) == len(numbered)


def define_data_flags():
    """Where episodes come from and what they look like."""
    _run_flag(flags.DEFINE_enum, "dataset", "glyphs", sorted(SOURCES), "Source of classes and images.")
    _run_flag(flags.DEFINE_enum, "omniglot_protocol", "vinyals", PROTOCOLS, "Split of Omniglot's characters.")
    _run_flag(flags.DEFINE_boolean, "cub_bounding_box", False, "Cut the photographs of --dataset=cub to the bird.")
    _run_flag(
        flags.DEFINE_list,
        "split_fractions",
        ",".join(map(str, SPLIT_FRACTIONS)),
        "Shares of the classes for training, validation and test, for --dataset=folder without such folders.",
    )
    flags.register_validator("split_fractions", _are_shares, "must be three positive numbers that add up to 1")
    _run_flag(flags.DEFINE_integer, "split_seed", 0, "Decides which classes those are.", lower_bound=0)
    _run_flag(flags.DEFINE_integer, "image_size", 28, "Height and width of images, pixels.", lower_bound=16)
    _run_flag(flags.DEFINE_integer, "n_way", 5, "Classes in an episode.", lower_bound=2)
    _run_flag(
        flags.DEFINE_integer,
        "train_n_way",
        0,
        "Classes in a meta-training episode; more than --n_way are a harder lesson. 0: --n_way.",
        lower_bound=0,
    )
    _run_flag(
        flags.DEFINE_integer,
        "train_k_shot",
        0,
        "Support images of each class in a meta-training episode. 0: --k_shot.",
        lower_bound=0,
    )
    _run_flag(
        flags.DEFINE_integer,
        "train_n_query",
        0,
        "Query images of each class in a meta-training episode; fewer than --n_query are quicker. 0: --n_query.",
        lower_bound=0,
    )
    flags.register_validator("train_n_way", lambda value: value != 1, "must be 0, or at least 2")
    _run_flag(flags.DEFINE_integer, "k_shot", 1, "Support images of each class.", lower_bound=1)
    _run_flag(flags.DEFINE_integer, "n_query", 15, "Query images of each class.", lower_bound=1)
    _run_flag(
        flags.DEFINE_enum,
        "augment",
        "none",
        sorted(AUGMENTATIONS),
        "What is done to meta-training images; affine: small turns, stretches, shears and shifts, for drawings; photo: "
        "cuts, mirror images and other colours.",
    )
    define_location_flags()


def define_location_flags():
    """Where files lie on this machine: no part of what a run is."""
    flags.DEFINE_string(
        "data_dir",
        None,
        "TensorFlow Datasets directory; unset: its default, with download. "
        "For --dataset=folder, the directory with class folders, or with train, val and test.",
    )
    flags.DEFINE_string(
        "manual_dir",
        None,
        "For --dataset=mini_imagenet not yet in --data_dir: directory of ImageNet's training archive or class folders.",
    )
    flags.DEFINE_float(
        "max_pool_memory",
        2048,
        "MiB that a data set's pictures may take in memory; more are written to --cache_dir once, resized, and read "
        "from there.",
        lower_bound=0,
    )
    flags.DEFINE_boolean("strict", False, "Stop at pictures that cannot be read, rather than go on without them.")
    flags.DEFINE_string("cache_dir", None, "Where decoded images are kept; unset: ~/.cache/ml_lstm.")


def define_method_flags():
    """The classifier and, for the optimization-based ones, the inner loop."""
    _run_flag(flags.DEFINE_enum, "method", "meta_lstm", sorted(METHODS), "Few-shot classifier to train.")
    _run_flag(flags.DEFINE_enum, "cell", "meta_lstm", sorted(CELLS), "Update rule.")
    _run_flag(flags.DEFINE_enum, "learner", "conv4", sorted(LEARNERS), "Network that is adapted.")
    _run_flag(
        flags.DEFINE_boolean,
        "mixed_precision",
        False,
        "Let the learner's convolutions compute in bfloat16; weights and the meta-learner stay float32.",
    )
    _run_flag(flags.DEFINE_integer, "filters", 32, "Filters of each convolution of the learner.", lower_bound=1)
    _run_flag(
        flags.DEFINE_float,
        "batch_norm_momentum",
        None,
        "Weight of the newest batch in batch-norm averages, in (0, 1]. Unset: 0.9 in those of an episode, 0.05 in "
        "those that methods keep over meta-training.",
    )
    flags.register_validator("batch_norm_momentum", lambda value: value is None or 0 < value <= 1, "must be in (0, 1]")
    _run_flag(flags.DEFINE_integer, "inner_steps", 5, "Updates of the learner in an episode.", lower_bound=1)
    _run_flag(
        flags.DEFINE_integer,
        "eval_inner_steps",
        0,
        "Updates of the learner in evaluation and when served; 0: as in meta-training.",
        lower_bound=0,
    )
    _run_flag(flags.DEFINE_float, "inner_learning_rate", 0.4, "Of gradient descent in MAML and Reptile.")
    flags.register_validator("inner_learning_rate", lambda value: 0 < value < math.inf, "must be positive and finite")
    _run_flag(
        flags.DEFINE_integer,
        "inner_batch_size",
        0,
        "Support images an inner step sees; 0: the whole support set.",
        lower_bound=0,
    )
    _run_flag(
        flags.DEFINE_float,
        "inner_gradient_scale",
        1.0,
        "Factor on the learner's mean gradient; 1/inner_batch_size divides once more, as the authors' code does.",
    )
    flags.register_validator(
        "inner_gradient_scale", lambda value: 0 <= value < math.inf, "must be at least 0, and finite"
    )
    _run_flag(
        flags.DEFINE_integer,
        "hidden_units",
        None,
        "Of the coordinate-wise LSTM in front of the update rule; 0: none. Unset: 20 for the cells that take one.",
        lower_bound=0,
    )
    flags.register_multi_flags_validator(
        ["cell", "hidden_units"],
        lambda values: not values["hidden_units"] or CELLS[values["cell"]].default_hidden_units > 0,
        "this update rule takes no LSTM in front of it: give --hidden_units=0",
    )
    _run_flag(
        flags.DEFINE_enum,
        "gate_feedback",
        "activation",
        GATE_FEEDBACKS,
        "What a gate of --cell=meta_lstm sees of its last value.",
    )
    _range_flag("input_gate_bias", "-5,-4", "Range that the bias of the input gate starts in; gru: the update gate.")
    _range_flag("forget_gate_bias", "4,6", "Range that the bias of the forget gate starts in; gru: the reset gate.")
    _run_flag(
        flags.DEFINE_float,
        "cell_learning_rate",
        0.01,
        "Learned step size of --cell=sgd, meta_sgd or turtle, before any training.",
    )
    flags.register_validator("cell_learning_rate", lambda value: 0 < value < math.inf, "must be positive and finite")
    _run_flag(
        flags.DEFINE_boolean,
        "second_order",
        False,
        "Let the meta-gradient go through the learner's gradients.",
    )
    _run_flag(
        flags.DEFINE_enum,
        "query_statistics",
        "batch",
        QUERY_STATISTICS,
        "What batch norm uses for queries in meta-training: their own batch, or the support set's averages.",
    )
    _run_flag(
        flags.DEFINE_boolean,
        "final_statistics",
        False,
        "Let batch norm's averages take in the support set once more, under the final parameters.",
    )
    _run_flag(
        flags.DEFINE_boolean,
        "recompute_inner_steps",
        False,
        "Let the meta-gradient compute inner steps again, rather than keep them: much less memory with --second_order "
        "and many of them, for a little more time. A run may go on with another value.",
    )
    _run_flag(
        flags.DEFINE_boolean,
        "shared_head",
        False,
        "One learned starting vector for every class's output weights: any order and number of classes.",
    )
    _run_flag(flags.DEFINE_enum, "distance", DISTANCES[0], DISTANCES, "Between query and prototype.")
    _run_flag(
        flags.DEFINE_integer,
        "read_steps",
        5,
        "How often a query's LSTM reads from the support set, with --method=matching_fce.",
        lower_bound=1,
    )
    _run_flag(
        flags.DEFINE_float,
        "attention_scale",
        1.0,
        "Factor on the cosines of Matching Networks before their softmax; the paper has 1, which leaves it soft.",
    )
    flags.register_validator("attention_scale", lambda value: 0 < value < math.inf, "must be positive and finite")
    _run_flag(
        flags.DEFINE_integer,
        "label_characters",
        0,
        f"Length of the strings of {mann.LETTERS} letters that stand for classes in --method=mann; 0: one-hot labels, "
        "no more classes than in meta-training.",
        lower_bound=0,
        upper_bound=13,
    )
    _run_flag(
        flags.DEFINE_float,
        "embedding_loss",
        0.0,
        "Weight of a loss on the embedding alone in training --method=mann (docs/mann.md); the paper has none.",
        lower_bound=0,
    )
    flags.register_multi_flags_validator(
        ["label_characters", "n_way", "train_n_way"],
        lambda values: (
            not values["label_characters"]
            or mann.LETTERS ** values["label_characters"] >= max(values["n_way"], values["train_n_way"])
        ),
        f"strings are too short to tell the classes apart: {mann.LETTERS} to the power of --label_characters must be "
        "at least --n_way and --train_n_way",
    )
    for name, default, help_text in (
        ("controller_units", 200, "Of the controller of --method=mann."),
        ("memory_rows", 128, "Of the memory of --method=mann."),
        ("memory_width", 40, "Numbers in a row of that memory."),
        ("read_heads", 4, "Rows that it reads, and writes, at a time."),
        ("task_examples", 5, "Support examples, or pairs, that make the task-level fast weights of Meta Networks."),
    ):
        _run_flag(flags.DEFINE_integer, name, default, help_text, lower_bound=1)
    flags.register_multi_flags_validator(
        ["memory_rows", "read_heads"],
        lambda values: values["read_heads"] <= values["memory_rows"],
        "--read_heads must not be more than --memory_rows",
    )
    flags.register_multi_flags_validator(
        ["method", "cell"],
        lambda values: values["method"] == "meta_lstm" or values["cell"] == "meta_lstm",
        "only --method=meta_lstm has update rules to choose from: leave out --cell",
    )
    flags.register_multi_flags_validator(
        ["method", "second_order"],
        lambda values: not (values["second_order"] and values["method"] in ("fomaml", "reptile")),
        "--method=fomaml and --method=reptile are first order: leave out --second_order",
    )


def define_device_flags():
    """How this machine is used; results do not depend on it, but for rounding."""
    flags.DEFINE_integer(
        "intra_op_threads",
        0,
        "Threads that share one operation; 0: TensorFlow's choice. 1 is faster where images are small.",
        lower_bound=0,
    )
    flags.DEFINE_integer("inter_op_threads", 0, "Operations at the same time; 0: TensorFlow's choice.", lower_bound=0)
    flags.DEFINE_list(
        "devices",
        [],
        "What to compute on: cpu, gpu, or a name such as gpu:1; train --strategy=mirrored takes several, gpu:0,gpu:1, "
        "or cpu:0,cpu:1 to try it out. Unset: the GPUs or, failing those, the CPU.",
    )
    flags.register_validator("devices", _are_devices, "must be cpu or gpu, or names like gpu:0,gpu:1, of one kind")
    flags.DEFINE_boolean("memory_growth", False, "Take GPU memory as needed, rather than all of it at the start.")


def define_training_flags():
    """The outer loop."""
    flags.DEFINE_enum(
        "strategy",
        "none",
        STRATEGIES,
        "Who shares a meta-batch; the result is that of one device, but for rounding. mirrored: the --devices of this "
        "machine; multi_worker: machines, by TF_CONFIG (docs/distributed.md).",
    )
    flags.DEFINE_string("run_dir", None, "Directory of this run; made if need be, continued if it is there.")
    flags.register_validator("run_dir", bool, "give the directory of the run")
    flags.DEFINE_integer("episodes", 10_000, "Episodes to meta-train for, in all.", lower_bound=1)
    _run_flag(flags.DEFINE_integer, "meta_batch_size", 1, "Episodes in a meta-step.", lower_bound=1)
    _run_flag(
        flags.DEFINE_integer,
        "batch_size",
        64,
        "Images in a batch of the methods that train on all meta-train classes at once, for which --episodes, "
        "--meta_batch_size and --validation_interval count batches.",
        lower_bound=1,
    )
    _run_flag(flags.DEFINE_float, "learning_rate", 1e-3, "Of the meta-learner's Adam; Reptile's step.")
    flags.register_validator("learning_rate", lambda value: 0 < value < math.inf, "must be positive and finite")
    _run_flag(
        flags.DEFINE_enum,
        "learning_rate_schedule",
        "constant",
        ("constant", "cosine"),
        "How the learning rate goes; cosine: to 1 % of it at the last episode.",
    )
    _run_flag(flags.DEFINE_float, "clip_norm", 0.25, "Global norm that meta-gradients are clipped to.")
    flags.register_validator("clip_norm", lambda value: 0 < value < math.inf, "must be positive and finite")
    _run_flag(flags.DEFINE_integer, "seed", 0, "Decides weights and episodes.", lower_bound=0, upper_bound=2**32 - 1)
    _run_flag(
        flags.DEFINE_integer,
        "validation_interval",
        1000,
        "Episodes between meta-validations; the run is saved as often.",
        lower_bound=1,
    )
    _run_flag(flags.DEFINE_integer, "validation_episodes", 100, "Episodes of a meta-validation.", lower_bound=1)
    _run_flag(
        flags.DEFINE_integer,
        "early_stopping",
        0,
        "Stop after so many meta-validations without a better one; 0: never.",
        lower_bound=0,
    )


def locations() -> dict[str, Any]:
    """What `define_location_flags` defined."""
    return {name: FLAGS[name].value for name in ("data_dir", "manual_dir", "cache_dir", "max_pool_memory", "strict")}


def device_settings() -> dict[str, Any]:
    """What `define_device_flags` defined."""
    return {name: FLAGS[name].value for name in ("intra_op_threads", "inter_op_threads", "devices", "memory_growth")}


def value(name: str) -> Any:
    """The value of a flag, as JSON can hold it: the lists that there are are of numbers."""
    given = FLAGS[name].value
    return [float(number) for number in given] if isinstance(given, list) else given


def run_flags() -> dict[str, Any]:
    """The values of the flags that a run directory is bound to, as JSON can hold them."""
    values = {name: value(name) for name in _RUN_FLAGS}
    if values["hidden_units"] is None:
        values["hidden_units"] = CELLS[values["cell"]].default_hidden_units
    if values["batch_norm_momentum"] is None:
        values["batch_norm_momentum"] = METHODS[values["method"]].default_batch_norm_momentum
    if values["learning_rate_schedule"] != "constant":
        values["episodes"] = FLAGS.episodes  # the schedule's length
    return values
