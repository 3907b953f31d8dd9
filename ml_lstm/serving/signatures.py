"""A few-shot classifier as SavedModel signatures: everything from bytes to class names inside the graph."""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ml_lstm.data import pictures
from ml_lstm.data.pictures import require
from ml_lstm.data.resizing import MAX_SIDE, resize
from ml_lstm.methods import FewShotClassifier, without_xla
from ml_lstm.serving.fingerprints import Fingerprint, settled

# The largest picture takes 250 MB while it is resized as float32.
_PICTURES_AT_ONCE = 4
_MOST_FIELDS = 64
_FINGERPRINT = "fingerprint"

# Of all picture files of an input: a file of 650 bytes can announce 16 million, which take seconds to decode.
_MOST_PIXELS = 32 * pictures.MAX_PIXELS


class ServingModule:
    """The signatures of an exported classifier, by name in `functions`.

    Labels are the caller's own strings. Images may have any height and width: they are resized as in
    training, then normalised by the method. What is wrong with a request is `INVALID_ARGUMENT` with a sentence.

    Shapes: S support images, Q queries, K classes in the support set.

    * `adapt_and_predict` (also `serving_default`): `support_images` uint8 [S, H, W, C], `support_labels`
      string [S], `query_images` uint8 [Q, H, W, C] to `classes` string [K], `probabilities` float32 [Q, K],
      `predictions` string [Q];
    * `adapt`: the support set to `classes`, the method's adaptation, by name, and their `fingerprint` string [1];
    * `predict`: those and `query_images` to `probabilities` and `predictions`; an adaptation of another export, or
      that was changed, is refused by its fingerprint;
    * each also with `_encoded` behind its name: images as JPEG, PNG, BMP or GIF bytes, string [S] or [Q];
    * `check_encoded`: `query_images` string [Q] to `readable` bool [Q] and `unreadable`, the indices of those that are
      not. TensorFlow's decoders do not say which image of a request was damaged; this is asked after they refused one.
    * `describe`: `fields` string [n] to those and `values` string [n], JSON of the model card's fields of these names,
      `image_shape` among them; `null` for others.

    Args:
        method: trained.
        image_shape: `(height, width, channels)` that it was trained on, channels 1 or 3.
        card: of the model, as JSON can hold it.
    """

    def __init__(
        self, method: FewShotClassifier, image_shape: tuple[int, int, int], card: Mapping[str, Any] | None = None
    ):
        self._method = method
        self._fingerprint = Fingerprint()
        self.image_shape = tuple(image_shape)
        # Traced once and called by all signatures: an unrolled inner loop takes seconds to trace.
        images, labels = tf.TensorSpec([None, *self.image_shape], tf.float32), tf.TensorSpec([None], tf.int32)
        with without_xla():
            self._adapt_once = tf.function(method.adapt, autograph=False).get_concrete_function(images, labels)
        self._adaptation_specs = {
            name: tf.TensorSpec(value.shape, value.dtype, name=name)
            for name, value in self._adapt_once.structured_outputs.items()
        }
        self._classify_once = tf.function(
            method.classify, autograph=False, input_signature=[self._adaptation_specs, images]
        )
        raw, encoded = tf.TensorSpec([None] * 4, tf.uint8), tf.TensorSpec([None], tf.string)
        self.functions = self._traced("", raw, self._resize) | self._traced("_encoded", encoded, self._decode)
        self.functions["serving_default"] = self.functions["adapt_and_predict"]
        self.functions["check_encoded"] = tf.function(self._check, autograph=False).get_concrete_function(
            query_images=tf.TensorSpec(encoded.shape, encoded.dtype, name="query_images")
        )
        self._card = {"image_shape": self.image_shape, "most_classes": method.most_classes} | dict(card or {})
        self.functions["describe"] = tf.function(self._describe, autograph=False).get_concrete_function(
            fields=tf.TensorSpec([None], tf.string, name="fields")
        )

    def variables(self) -> list[tf.Variable]:
        """TensorFlow's own variables that the functions read."""
        by_id = {id(variable): variable for function in self.functions.values() for variable in function.variables}
        return list(by_id.values())

    def _traced(self, suffix, images, ready):
        """The three functions for one form of images; `ready` makes that form what the method takes."""

        def adaptation_to(support_images, support_labels):
            with _not_empty(support_images, "The support set is empty: send support_images."):
                images = ready(support_images, "support_images")
            return self._adapt(images, support_labels)

        def prediction(adaptation, query_images):
            with _not_empty(query_images, "There is no query: send query_images."):
                images = ready(query_images, "query_images")
            return self._predict(adaptation, images)

        def adapt(support_images, support_labels):
            adaptation = adaptation_to(support_images, support_labels)
            return adaptation | {_FINGERPRINT: self._fingerprint.of(adaptation)}

        def predict(query_images, fingerprint, **adaptation):
            return prediction(self._checked(adaptation, fingerprint), query_images)

        def adapt_and_predict(support_images, support_labels, query_images):
            adaptation = adaptation_to(support_images, support_labels)
            return {"classes": adaptation["classes"], **prediction(adaptation, query_images)}

        support = {
            "support_images": tf.TensorSpec(images.shape, images.dtype, name="support_images"),
            "support_labels": tf.TensorSpec([None], tf.string, name="support_labels"),
        }
        queries = {"query_images": tf.TensorSpec(images.shape, images.dtype, name="query_images")}
        kept = {
            "classes": tf.TensorSpec([None], tf.string, name="classes"),
            _FINGERPRINT: tf.TensorSpec([1], tf.string, name=_FINGERPRINT),
        } | self._adaptation_specs
        inputs = {adapt: support, predict: kept | queries, adapt_and_predict: support | queries}
        return {
            function.__name__ + suffix: tf.function(function, autograph=False).get_concrete_function(**specs)
            for function, specs in inputs.items()
        }

    def _adapt(self, images, names):
        sizes = tf.shape(images)[0], tf.size(names)
        same_length = require(
            tf.equal(*sizes), "support_images and support_labels must have the same length; they have", *sizes
        )
        with tf.control_dependencies([same_length]):
            classes, labels = tf.unique(names)
        most = self._method.most_classes
        few_enough = require(
            most is None or tf.size(classes) <= most,
            f"The model can tell at most {most} classes apart; the support set has",
            tf.size(classes),
        )
        with tf.control_dependencies([few_enough]):
            adaptation = self._adapt_once(images, labels)
            return {"classes": tf.identity(classes)} | {name: settled(values) for name, values in adaptation.items()}

    def _checked(self, adaptation, fingerprint):
        """An adaptation as `adapt` returned it, if it has this fingerprint."""
        adaptation = {name: settled(values) for name, values in adaptation.items()}
        same = require(
            tf.equal(fingerprint, self._fingerprint.of(adaptation))[0],
            "The adaptation is of another model or version, or was changed: adapt again.",
        )
        with tf.control_dependencies([same]):
            return {name: tf.identity(values) for name, values in adaptation.items()}

    def _predict(self, adaptation, images):
        classes = adaptation["classes"]
        logits = self._classify_once({name: adaptation[name] for name in self._adaptation_specs}, images)
        probabilities = tf.nn.softmax(tf.cast(logits[:, : tf.size(classes)], tf.float32))
        return {"probabilities": probabilities, "predictions": tf.gather(classes, tf.argmax(probabilities, axis=-1))}

    def _check(self, query_images):
        """Decodes each image by itself; to leave out what fails is the one way to go on within a graph."""
        *size, channels = self.image_shape
        number = tf.size(query_images)

        def decode(index, contents):
            picture = pictures.decode(contents, channels, [], max(size))
            with tf.control_dependencies([picture]):
                return tf.identity(index)

        files = tf.data.Dataset.from_tensor_slices(query_images)
        announced = tf.reduce_sum(_those_without_errors(files.map(_announced_pixels), number))
        with _affordable(announced, "query_images"):
            query_images = tf.identity(query_images)
        numbered = tf.data.Dataset.from_tensor_slices((tf.range(number), query_images))
        found = _those_without_errors(numbered.map(decode), number)
        readable = tf.scatter_nd(found[:, None], tf.ones_like(found), tf.shape(query_images)) > 0
        return {"readable": readable, "unreadable": tf.cast(tf.where(~readable)[:, 0], tf.int32)}

    def _describe(self, fields):
        names = sorted(self._card)
        values = [json.dumps(self._card[name], sort_keys=True) for name in names]
        # Each may be a thousand times as long as its name.
        few = require(
            tf.size(fields) <= _MOST_FIELDS, f"fields may have at most {_MOST_FIELDS} names; got", tf.size(fields)
        )
        with tf.control_dependencies([few]):
            fields = tf.identity(fields)
        same = tf.equal(fields[:, None], names)
        indices = tf.where(tf.reduce_any(same, axis=1), tf.argmax(same, axis=1), len(names))
        return {"fields": fields, "values": tf.gather([*values, "null"], indices)}

    def _resize(self, images, name):
        """uint8 [n, H, W, C] as float32 [n, height, width, C] in [0, 1]."""
        *size, channels = self.image_shape
        shape = tf.shape(images)
        not_flat = require(tf.reduce_min(shape[1:3]) > 0, f"{name} must be at least one pixel high and wide.")
        not_long = require(
            tf.reduce_max(shape[1:3]) <= MAX_SIDE, f"{name} must be at most {MAX_SIDE} pixels high and wide."
        )
        with tf.control_dependencies([not_flat, not_long]):
            fits = require(
                tf.equal(shape[3], channels),
                f"{name} must have {channels} channel(s) in the last dimension; got",
                shape[3],
            )
        with tf.control_dependencies([fits]):
            pixels = tf.ensure_shape(tf.identity(images), [None, None, None, channels])
        resized = tf.cond(tf.reduce_all(tf.equal(shape[1:3], size)), lambda: pixels, lambda: resize(pixels, *size))
        return tf.cast(tf.ensure_shape(resized, [None, *self.image_shape]), tf.float32) / 255.0

    def _decode(self, encoded, name):
        """Image files, string [n], as float32 [n, height, width, C] in [0, 1]."""

        def decode(numbered):
            number, contents = numbered
            *size, channels = self.image_shape
            picture = pictures.decode(contents, channels, [f"{name}: the image at index", number], max(size))
            return self._resize(picture[None], name)[0]

        pixels = tf.reduce_sum(tf.map_fn(_announced_pixels, encoded, fn_output_signature=tf.float64))
        with _affordable(pixels, name):
            return tf.map_fn(
                decode,
                (tf.range(tf.size(encoded)), encoded),
                parallel_iterations=_PICTURES_AT_ONCE,
                fn_output_signature=tf.TensorSpec(self.image_shape, tf.float32),
            )


def _those_without_errors(scalars, most):
    """A data set's elements, at most so many, but for those that fail: in a data set alone an error is not the end."""
    found = scalars.ignore_errors().batch(tf.cast(tf.maximum(most, 1), tf.int64))
    none = tf.data.Dataset.from_tensors(tf.zeros([0], scalars.element_spec.dtype))
    options = tf.data.Options()
    # By default the graph is rewritten at each call, for seconds.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return found.concatenate(none).take(1).with_options(options).get_single_element()


def _announced_pixels(contents):
    """As a float, whose sums do not overflow."""
    return tf.cast(pictures.announced_pixels(contents), tf.float64)


def _affordable(pixels, name):
    """Within it picture files have no more pixels in all than may be decoded for one request."""
    words = (
        f"{name}: the images have too many pixels, over {_MOST_PIXELS} in all: shrink them, or send queries in parts."
    )
    return tf.control_dependencies([require(pixels <= _MOST_PIXELS, words)])


def _not_empty(images, words):
    """Within it there is at least one image."""
    return tf.control_dependencies([require(tf.shape(images)[0] > 0, words)])
