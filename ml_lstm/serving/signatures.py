"""The SavedModel signatures of a few-shot classifier: everything from bytes to class names is in the graph."""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ml_lstm.data.pictures import require
from ml_lstm.methods import FewShotClassifier, without_xla
from ml_lstm.serving.answers import Answers, affordable
from ml_lstm.serving.fingerprints import Fingerprint, settled

_MOST_FIELDS = 64
_FINGERPRINT = "fingerprint"


class ServingModule:
    """The signatures of an exported classifier, by name in `functions`.

    Labels are the caller's own strings. `classes` are these strings, sorted, so the order of a support set does not
    matter. Images may have any height and width: they are resized as in training, then normalised by the method. An
    invalid request is an `INVALID_ARGUMENT` error with a sentence.

    Shapes: S support images, Q queries, K classes in the support set.

    * `adapt_and_predict` (also `serving_default`): `support_images` uint8 [S, H, W, C], `support_labels`
      string [S], `query_images` uint8 [Q, H, W, C] to `classes` string [K], `probabilities` float32 [Q, K],
      `predictions` string [Q]; for a calibrated method also `familiarity` float32 [Q], see `methods.Calibrated`;
    * `adapt`: the support set to `classes`, the method's adaptation, by name, and their `fingerprint` string [1];
    * `predict`: the outputs of `adapt` and `query_images` to the outputs of `adapt_and_predict` without `classes`. The
      fingerprint is checked: an adaptation from another export, or one that was changed, is an error;
    * `explain`, for a method that adapts in T steps: the support set to `classes` and the course of learning, `losses`
      float32 [T + 1] and, for a method with gates, `layers` string [L], `input_gates` and `forget_gates` float32
      [T, L]; see `methods.FewShotClassifier.explain`;
    * each of these also with the suffix `_encoded`: images as JPEG, PNG, BMP or GIF bytes, string [S] or [Q];
    * `check_encoded`: `query_images` string [Q] to `readable` bool [Q] and `unreadable`, the indices of unreadable
      images. TensorFlow's decoders do not say which image of a request is damaged; call this after they failed.
    * `describe`: `fields` string [n] to `fields` and `values` string [n], the model card's values of these fields as
      JSON, including `image_shape`; `null` for unknown fields.

    Args:
        method: the trained method.
        image_shape: `(height, width, channels)` of its training images, channels 1 or 3.
        card: the model card, serializable to JSON.
    """

    def __init__(
        self, method: FewShotClassifier, image_shape: tuple[int, int, int], card: Mapping[str, Any] | None = None
    ):
        self._fingerprint = Fingerprint()
        self.image_shape = tuple(image_shape)
        # Traced once and called by all signatures: an unrolled inner loop takes seconds to trace.
        images, labels = tf.TensorSpec([None, *self.image_shape], tf.float32), tf.TensorSpec([None], tf.int32)
        with without_xla():
            adapt = tf.function(method.adapt, autograph=False).get_concrete_function(images, labels)
        self._adaptation_specs = {
            name: tf.TensorSpec(value.shape, value.dtype, name=name) for name, value in adapt.structured_outputs.items()
        }
        classify = tf.function(method.classify, autograph=False, input_signature=[self._adaptation_specs, images])
        self._explains = method.served_inner_steps is not None
        # A separate function, so that `adapt` computes only what it needs.
        explain = tf.function(method.explain, autograph=False, input_signature=[images, labels])
        self._answers = Answers(method, self.image_shape, adapt, classify, explain)
        raw, encoded = tf.TensorSpec([None] * 4, tf.uint8), tf.TensorSpec([None], tf.string)
        with without_xla():
            self.functions = self._traced("", raw, self._answers.resized)
            self.functions |= self._traced("_encoded", encoded, self._answers.decoded)
        self.functions["serving_default"] = self.functions["adapt_and_predict"]
        self.functions["check_encoded"] = tf.function(self._check, autograph=False).get_concrete_function(
            query_images=tf.TensorSpec(encoded.shape, encoded.dtype, name="query_images")
        )
        self._card = {"image_shape": self.image_shape, "most_classes": method.most_classes} | dict(card or {})
        self.functions["describe"] = tf.function(self._describe, autograph=False).get_concrete_function(
            fields=tf.TensorSpec([None], tf.string, name="fields")
        )

    def variables(self) -> list[tf.Variable]:
        """The TensorFlow variables that the functions read."""
        by_id = {id(variable): variable for function in self.functions.values() for variable in function.variables}
        return list(by_id.values())

    def _traced(self, suffix, images, ready):
        """The functions for one form of images; `ready` converts that form to the method's input."""

        def adaptation_to(support_images, support_labels):
            return self._answers.adapt(ready(support_images, "support_images"), support_labels)

        def prediction(adaptation, query_images):
            return self._answers.predict(adaptation, ready(query_images, "query_images"))

        def adapt(support_images, support_labels):
            adaptation = adaptation_to(support_images, support_labels)
            return adaptation | {_FINGERPRINT: self._fingerprint.of(adaptation)}

        def predict(query_images, fingerprint, **adaptation):
            return prediction(self._checked(adaptation, fingerprint), query_images)

        def adapt_and_predict(support_images, support_labels, query_images):
            adaptation = adaptation_to(support_images, support_labels)
            return {"classes": adaptation["classes"], **prediction(adaptation, query_images)}

        def explain(support_images, support_labels):
            return self._answers.explain(ready(support_images, "support_images"), support_labels)

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
        inputs |= {explain: support} if self._explains else {}
        return {
            function.__name__ + suffix: tf.function(function, autograph=False).get_concrete_function(**specs)
            for function, specs in inputs.items()
        }

    def _checked(self, adaptation, fingerprint):
        """Checks the fingerprint of an adaptation; returns the adaptation as `adapt` returned it."""
        adaptation = {name: settled(values) for name, values in adaptation.items()}
        same = require(
            tf.equal(fingerprint, self._fingerprint.of(adaptation))[0],
            "The adaptation is from another model or version, or was changed: adapt again.",
        )
        with tf.control_dependencies([same]):
            return {name: tf.identity(values) for name, values in adaptation.items()}

    def _check(self, query_images):
        """Decodes each image separately. In a graph, the only way to continue after an error is to skip the element."""
        number = tf.size(query_images)

        def decode(index, contents):
            # Uses the size of the result: in an inlined function, a control dependency keeps only stateful operations.
            return index + tf.minimum(tf.size(self._answers.decode("", contents)), 0)

        files = tf.data.Dataset.from_tensor_slices(query_images)
        announced = tf.reduce_sum(_those_without_errors(files.map(self._answers.announced_pixels), number))
        with affordable(announced, "query_images"):
            query_images = tf.identity(query_images)
        numbered = tf.data.Dataset.from_tensor_slices((tf.range(number), query_images))
        found = _those_without_errors(numbered.map(decode), number)
        readable = tf.scatter_nd(found[:, None], tf.ones_like(found), tf.shape(query_images)) > 0
        return {"readable": readable, "unreadable": tf.cast(tf.where(~readable)[:, 0], tf.int32)}

    def _describe(self, fields):
        names = sorted(self._card)
        values = [json.dumps(self._card[name], sort_keys=True) for name in names]
        # Limited, because a value may be a thousand times as long as its name.
        few = require(
            tf.size(fields) <= _MOST_FIELDS, f"fields may have at most {_MOST_FIELDS} names; got", tf.size(fields)
        )
        with tf.control_dependencies([few]):
            fields = tf.identity(fields)
        same = tf.equal(fields[:, None], names)
        indices = tf.where(tf.reduce_any(same, axis=1), tf.argmax(same, axis=1), len(names))
        return {"fields": fields, "values": tf.gather([*values, "null"], indices)}


def _those_without_errors(scalars, most):
    """At most `most` elements of a data set, without those that fail: only a data set can skip an error."""
    found = scalars.ignore_errors().batch(tf.cast(tf.maximum(most, 1), tf.int64))
    none = tf.data.Dataset.from_tensors(tf.zeros([0], scalars.element_spec.dtype))
    options = tf.data.Options()
    # By default, TensorFlow rewrites the graph at each call, which takes seconds.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return found.concatenate(none).take(1).with_options(options).get_single_element()
