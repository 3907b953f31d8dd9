"""Maps image files and class names to classes and probabilities; traced by signatures, or called directly."""

from collections.abc import Callable

import tensorflow as tf

from ml_lstm.data import pictures
from ml_lstm.data.pictures import require
from ml_lstm.data.resizing import MAX_SIDE, resize
from ml_lstm.methods import Adaptation, FewShotClassifier
from ml_lstm.serving.class_numbers import numbered
from ml_lstm.serving.fingerprints import settled

# The largest image takes 250 MB while it is resized as float32.
_PICTURES_AT_ONCE = 4

# Limit for the image files of an input: a file of 650 bytes can declare 16 million pixels, seconds of decoding.
_MOST_PIXELS = 32 * pictures.MAX_PIXELS


class Answers:
    """Answers of a method for images of any size and classes of any names.

    An invalid request is an `INVALID_ARGUMENT` error with a sentence.

    Shapes: S support images, Q queries, K classes in the support set.

    Args:
        method: the trained method.
        image_shape: `(height, width, channels)` of its training images, channels 1 or 3.
        adapt, classify, explain: the method's functions, or traced versions of them. If the method computes
            `familiarity` from logits, the answers include it.
    """

    def __init__(
        self,
        method: FewShotClassifier,
        image_shape: tuple[int, int, int],
        adapt: Callable | None = None,
        classify: Callable | None = None,
        explain: Callable | None = None,
    ):
        self.image_shape = tuple(image_shape)
        self._most_classes = method.most_classes
        self._familiarity = method.familiarity
        self._adapt = adapt or method.adapt
        self._classify = classify or method.classify
        self._explain = explain or method.explain
        text, images = tf.TensorSpec([], tf.string), tf.TensorSpec([None] * 4, tf.uint8)
        # The graph that reads an image file is larger than most methods' graphs.
        self.announced_pixels = _traced_once(announced_pixels, text)
        self.decode = _traced_once(self._decode, text, text)
        self._resize = _traced_once(self._resize, text, images)

    def adapt(self, images: tf.Tensor, names: tf.Tensor) -> Adaptation:
        """Learns classes.

        Args:
            images: float32 [S, height, width, C] in [0, 1].
            names: class of each image, string [S].

        Returns:
            `classes` string [K], sorted, and the method's adaptation, by name.
        """
        classes, adaptation = self._of_support_set(self._adapt, images, names)
        return {"classes": classes} | {name: settled(values) for name, values in adaptation.items()}

    def explain(self, images: tf.Tensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
        """Records each inner step of `adapt`, for a method that has inner steps.

        Args:
            images, names: as for `adapt`.

        Returns:
            `classes` string [K], and the results of `FewShotClassifier.explain`.
        """
        classes, explanation = self._of_support_set(self._explain, images, names)
        return {"classes": classes} | explanation

    def _of_support_set(self, function, images, names):
        """The class names, and the result of `function` on the images and their class indices."""
        sizes = tf.shape(images)[0], tf.size(names)
        same_length = require(
            tf.equal(*sizes), "support_images and support_labels must have the same length; they have", *sizes
        )
        with tf.control_dependencies([same_length]):
            classes, labels = numbered(names)
        most = self._most_classes
        few_enough = require(
            most is None or tf.size(classes) <= most,
            f"The model can distinguish at most {most} classes; the support set has",
            tf.size(classes),
        )
        with tf.control_dependencies([few_enough]):
            return tf.identity(classes), function(images, labels)

    def predict(self, adaptation: Adaptation, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies queries.

        Args:
            adaptation: result of `adapt`.
            images: float32 [Q, height, width, C] in [0, 1].

        Returns:
            `probabilities` float32 [Q, K] and `predictions` string [Q]; for a calibrated method also `familiarity`
            float32 [Q], see `Calibrated`.
        """
        classes = adaptation["classes"]
        kept = {name: adaptation[name] for name in adaptation if name != "classes"}
        logits = self._classify(kept, images)
        probabilities = tf.nn.softmax(tf.cast(logits[:, : tf.size(classes)], tf.float32))
        answer = {"probabilities": probabilities, "predictions": tf.gather(classes, tf.argmax(probabilities, axis=-1))}
        familiarity = self._familiarity(kept, logits)
        return answer if familiarity is None else answer | {"familiarity": familiarity}

    def resized(self, images: tf.Tensor, name: str) -> tf.Tensor:
        """Converts images to the method's input.

        Args:
            images: uint8 [n, H, W, C], n at least 1.
            name: name of the input, for messages.

        Returns:
            float32 [n, height, width, C] in [0, 1].
        """
        with _not_empty(images, name):
            return self._resize(tf.constant(name), images)

    def decoded(self, encoded: tf.Tensor, name: str) -> tf.Tensor:
        """Converts image files to the method's input.

        Args:
            encoded: JPEG, PNG, BMP or GIF bytes, string [n], n at least 1.
            name: name of the input, for messages.

        Returns:
            float32 [n, height, width, C] in [0, 1].
        """

        def read(numbered):
            number, contents = numbered
            where = tf.strings.join([name, ": the image at index ", tf.strings.as_string(number)])
            return self._resize(tf.constant(name), self.decode(where, contents)[None])[0]

        with _not_empty(encoded, name):
            pixels = tf.reduce_sum(tf.map_fn(self.announced_pixels, encoded, fn_output_signature=tf.float64))
        with affordable(pixels, name):
            return tf.map_fn(
                read,
                (tf.range(tf.size(encoded)), encoded),
                parallel_iterations=_PICTURES_AT_ONCE if not tf.executing_eagerly() else 1,
                fn_output_signature=tf.TensorSpec(self.image_shape, tf.float32),
            )

    def _decode(self, where, contents):
        """Decodes an image file, called `where` in messages, to uint8 [height, width, C]; shrinks far larger JPEGs."""
        *size, channels = self.image_shape
        return pictures.decode(contents, channels, [where], max(size))

    def _resize(self, name, images):
        """Resizes images uint8 [n, H, W, C] of the input `name` to float32 [n, height, width, C] in [0, 1]."""
        *size, channels = self.image_shape
        shape = tf.shape(images)

        def must(words):
            return tf.strings.join([name, " must ", words])

        not_flat = require(tf.reduce_min(shape[1:3]) > 0, must("be at least one pixel high and wide."))
        not_long = require(tf.reduce_max(shape[1:3]) <= MAX_SIDE, must(f"be at most {MAX_SIDE} pixels high and wide."))
        with tf.control_dependencies([not_flat, not_long]):
            words = must(f"have {channels} channel(s) in the last dimension; got")
            fits = require(tf.equal(shape[3], channels), words, shape[3])
        with tf.control_dependencies([fits]):
            pixels = tf.ensure_shape(tf.identity(images), [None, None, None, channels])
        resized = tf.cond(tf.reduce_all(tf.equal(shape[1:3], size)), lambda: pixels, lambda: resize(pixels, *size))
        return tf.cast(tf.ensure_shape(resized, [None, *self.image_shape]), tf.float32) / 255.0


def _traced_once(function, *signature):
    """A function that is traced only once for all graphs that call it; called eagerly, it is the function itself."""
    traced = tf.function(function, autograph=False, input_signature=signature)
    return lambda *arguments: (function if tf.executing_eagerly() else traced)(*arguments)


def announced_pixels(contents: tf.Tensor) -> tf.Tensor:
    """The number of pixels that an image file declares, as a float, so that sums do not overflow."""
    return tf.cast(pictures.announced_pixels(contents), tf.float64)


def affordable(pixels: tf.Tensor, name: str):
    """A context that checks that the image files of an input have at most `_MOST_PIXELS` pixels in total."""
    words = (
        f"{name}: the images have too many pixels, over {_MOST_PIXELS} in total: shrink them, or send queries in parts."
    )
    return tf.control_dependencies([require(pixels <= _MOST_PIXELS, words)])


def _not_empty(images, name):
    """A context that checks that there is at least one image."""
    what = {"support_images": "The support set is empty", "query_images": "There are no queries"}[name]
    return tf.control_dependencies([require(tf.shape(images)[0] > 0, f"{what}: send {name}.")])
