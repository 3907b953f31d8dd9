"""Memory-augmented network (Santoro et al., Meta-Learning with Memory-Augmented Neural Networks, ICML 2016).

A recurrent network with an external memory reads the images of an episode one by one, each together with the label
of the previous image, and classifies each as it comes. It has to keep an image until its label arrives, bind the
two, and find them again. Within an episode only its state changes.

A class is coded as a one-hot vector or, for any number of classes, as a random string of letters, as in the paper.
"""

import math
from typing import Annotated

import keras
import tensorflow as tf

from ml_lstm.cells.memory import MemoryCell
from ml_lstm.episode import Problem, correct
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, random_order, seed_of
from ml_lstm.options import Count, Weight, between

LETTERS = 5
"""Number of letters that a string can have at each place."""


@keras.saving.register_keras_serializable("ml_lstm")
class MemoryAugmentedNetwork(EmbeddingBasedClassifier):
    """Reads an episode as a sequence in which labels come one step late.

    In meta-training the images of support set and queries form one sequence in random order. The network classifies
    each as it comes, also the first of its class; the reported accuracy excludes these first images. To answer
    queries, the method keeps its state after the support set, which it also reads in random order. That order is drawn
    from the images and does not depend on how they are listed. Each query is one more step from the kept state.

    Args:
        learner: see `EmbeddingBasedClassifier`; computes the controller's input from an image.
        problem: see `EmbeddingBasedClassifier`.
        controller_units: units of the controller, an LSTM.
        memory_rows: number of rows of the memory.
        memory_width: length of a row of the memory.
        read_heads: rows that are read and written at a time; at most `memory_rows`.
        label_characters: length of the strings of 5 letters that code the classes, 5 in the paper; each meta-training
            episode has new strings, and the answer is a softmax for each character. 0: one-hot labels, and at most as
            many classes as in the problem.
        embedding_loss: weight in meta-training of `leave_one_out_loss`, which teaches the learner to separate
            classes independently of the memory; the paper has none. Training learns to use the memory much sooner
            if images of a class already have similar features.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: for strings too short for the number of classes, more heads than rows, and like
            `EmbeddingBasedClassifier`.
    """

    reads_sequences = True
    # All images of a meta-batch share batch statistics, and the pixels of all determine the random order.
    splits_meta_batch = False

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        controller_units: Count = 200,
        memory_rows: Count = 128,
        memory_width: Count = 40,
        read_heads: Count = 4,
        label_characters: Annotated[int, between(0, 13)] = 0,
        embedding_loss: Weight = 0.0,
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.controller_units, self.memory_rows = controller_units, memory_rows
        self.memory_width, self.read_heads = memory_width, read_heads
        self.label_characters, self.embedding_loss = label_characters, embedding_loss
        self._code_shape = (label_characters, LETTERS) if label_characters else (1, self.n_way)
        if self.most_classes < self.n_way:
            raise ValueError(
                f"label_characters={label_characters} is enough for {self.most_classes} classes, but the problem has "
                f"{self.n_way}: give more characters."
            )
        cell = MemoryCell(controller_units, memory_rows, memory_width, read_heads, dtype=self.dtype_policy)
        self.memory = keras.layers.RNN(cell, return_sequences=True, return_state=True, dtype=self.dtype_policy)
        code_size = math.prod(self._code_shape)
        self.head = keras.layers.Dense(code_size, name="head", dtype=self.dtype_policy)
        self.memory.build((None, None, self.features_shape[-1] + code_size))
        self.head.build((None, self.memory.cell.output_size))
        self.built = True

    @classmethod
    def check_together(cls, values):
        """Checks that there are no more heads than rows; see `options.Configured.check_together`."""
        heads, rows = values["read_heads"], values["memory_rows"]
        if heads > rows:
            raise ValueError(f"read_heads must not be more than memory_rows, got {heads} and {rows}.")

    @property
    def most_classes(self) -> int:
        """The number of different labels; see `FewShotClassifier.most_classes`."""
        characters, letters = self._code_shape
        return letters**characters

    def codes(self, n_classes: int | tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """The code of each class: one-hot letters.

        Args:
            n_classes: K.
            seeds: int32 [B], which choose the strings; one-hot labels do not depend on them.

        Returns:
            [B, K, characters, letters].
        """
        characters, letters = self._code_shape
        numbers = tf.repeat(tf.range(n_classes)[None], tf.size(seeds), axis=0)
        if self.label_characters:  # K different strings
            numbers = tf.map_fn(
                lambda seed: tf.random.experimental.index_shuffle(
                    tf.range(n_classes), [seed, 0], self.most_classes - 1
                ),
                seeds,
            )
        digits = numbers[..., None] // letters ** tf.range(characters) % letters
        return tf.one_hot(digits, letters, dtype=self.compute_dtype)

    def adapt(self, support_images, support_labels, training: bool = False):
        """The state after the support set, and its last label, to be read next; see `FewShotClassifier.adapt`."""
        features, labels = self.embed(support_images), self.support_classes(support_labels)
        order = random_order(features, labels, seed_of(support_images))
        features, labels = tf.gather(features, order), tf.gather(labels, order)
        n_classes = self._n_classes(labels)
        _, *state = self._read(features[None], labels[None], self._served_codes(n_classes))
        named = {f"state_{index}": tensor[0] for index, tensor in enumerate(state)}
        return named | {"last_label": labels[-1], "class_mask": class_mask(labels, n_classes)}

    def classify(self, adaptation, query_images, query_statistics="support"):
        """One step for each query, from the state after the support set; see `FewShotClassifier.classify`."""
        features = self.query_features(query_images, query_statistics)
        count = tf.shape(features)[0]
        state = [
            tf.repeat(adaptation[f"state_{index}"][None], count, axis=0)
            for index in range(len(self.memory.cell.state_size))
        ]
        codes = self._served_codes(tf.size(adaptation["class_mask"]))
        told = tf.repeat(_flat(codes[0, adaptation["last_label"]][None]), count, axis=0)
        outputs, _ = self.memory.cell(tf.concat([features, told], axis=-1), state)
        return mask_logits(self._log_probabilities(outputs[None], codes)[0], adaptation["class_mask"])

    def sequence_logits(self, images, labels, training: bool = False, seeds: tf.Tensor | None = None) -> tf.Tensor:
        """The answers to a sequence of images, each as it comes.

        Args:
            images: [B, T, H, W, C], uint8 or float in [0, 1].
            labels: int [B, T], in [0, `most_classes`); the network reads the label of time t at t + 1.
            training: whether the images are normalised by their joint statistics.
            seeds: int32 [B], see `codes`; None for the strings of `adapt`.

        Returns:
            Log-probabilities of the labels of K classes, [B, T, K].
        """
        return self._answers(self._sequence_features(images, training), labels, training, seeds)

    def _sequence_features(self, images, training):
        shape = tf.shape(images)
        flat = tf.reshape(images, tf.concat([[-1], shape[2:]], axis=0))
        flat = tf.ensure_shape(flat, [None, *images.shape[2:]])
        return tf.reshape(self.embed(flat, training), [shape[0], shape[1], self.features_shape[-1]])

    def _answers(self, features, labels, training, seeds):
        n_classes = self.n_way if training else self._n_classes(labels)
        codes = self.codes(n_classes, tf.zeros(tf.shape(labels)[:1], tf.int32) if seeds is None else seeds)
        outputs, *_ = self._read(features, tf.cast(labels, tf.int32), codes)
        return self._log_probabilities(outputs, codes)

    def _n_classes(self, labels):
        return self.n_way if not self.label_characters else tf.reduce_max(labels) + 1

    def _served_codes(self, n_classes):
        return self.codes(n_classes, tf.zeros([1], tf.int32))

    def _read(self, features, labels, codes):
        told = _flat(tf.gather(codes, labels, batch_dims=1))
        late = tf.pad(told[:, :-1], [[0, 0], [1, 0], [0, 0]])
        inputs = tf.concat([features, late], axis=-1)
        return self.memory(inputs, initial_state=self.memory.cell.get_initial_state(tf.shape(inputs)[0]))

    def _log_probabilities(self, outputs, codes):
        """Of the classes' labels, [B, T, K]; a label's value is the sum of its characters' values."""
        logits = self.head(outputs)
        by_character = tf.reshape(logits, tf.concat([tf.shape(logits)[:-1], self._code_shape], axis=0))
        return tf.einsum("btcl,bkcl->btk", tf.nn.log_softmax(by_character), codes)

    def training_results(self, episodes):
        """The results of all episodes at once; see `EmbeddingBasedClassifier.training_results`."""
        images, labels = (
            tf.concat([getattr(episodes, f"{part}_{name}") for part in ("support", "query")], axis=1)
            for name in ("images", "labels")
        )
        labels = tf.cast(labels, tf.int32)
        # Orders and strings depend only on the episodes themselves.
        seeds = seed_of(images)
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(labels), [tf.reduce_sum(seeds), 0]), axis=1)
        images, labels = (tf.gather(tensor, order, batch_dims=1) for tensor in (images, labels))
        features, moved = self.collecting(lambda: self._sequence_features(images, training=True))
        logits = self._answers(features, labels, training=True, seeds=seeds)
        # The probability of the label among all possible labels, not only among those of this episode.
        losses = -tf.reduce_mean(tf.gather(logits, labels, axis=-1, batch_dims=2), axis=1)
        if self.embedding_loss:
            losses += self.embedding_loss * leave_one_out_loss(features, labels, self.n_way)
        right = correct(labels, logits)
        later = tf.cast(instances(labels) > 0, tf.float32)
        accuracies = tf.math.divide_no_nan(tf.reduce_sum(right * later, axis=1), tf.reduce_sum(later, axis=1))
        return tf.cast(losses, tf.float32), accuracies, *(tensor[None] for tensor in moved)


def _flat(codes):
    """[..., characters, letters] as one vector each: [..., characters * letters]."""
    return tf.reshape(codes, tf.concat([tf.shape(codes)[:-2], [math.prod(codes.shape[-2:])]], axis=0))


def leave_one_out_loss(features: tf.Tensor, labels: tf.Tensor, n_classes: int) -> tf.Tensor:
    """The loss of classifying images by their distance to the mean of each class's other images.

    It is the loss of Prototypical Networks (Snell et al. 2017), where each image is once the query of all others.

    Args:
        features: [B, T, F].
        labels: int [B, T].
        n_classes: K.

    Returns:
        [B], the mean cross-entropy in nats over images that are not the only one of their class.
    """
    member = tf.one_hot(labels, n_classes, dtype=features.dtype)
    others = tf.reduce_sum(member, axis=1, keepdims=True) - member  # [B, T, K]
    sums = tf.einsum("btk,btf->bkf", member, features)[:, None] - tf.einsum("btk,btf->btkf", member, features)
    means = sums / tf.maximum(others, 1.0)[..., None]
    distances = tf.reduce_sum(tf.math.squared_difference(features[:, :, None], means), axis=-1)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, mask_logits(-distances, tf.sign(others)))
    counted = tf.sign(tf.reduce_sum(member * others, axis=-1))
    return tf.math.divide_no_nan(tf.reduce_sum(losses * counted, axis=1), tf.reduce_sum(counted, axis=1))


def instances(labels: tf.Tensor) -> tf.Tensor:
    """How many earlier labels equal each of the labels [B, T]: int32 [B, T], 0 for the first of its class."""
    same = tf.cast(tf.equal(labels[:, :, None], labels[:, None, :]), tf.int32)
    earlier = tf.linalg.band_part(same, -1, 0)
    return tf.reduce_sum(earlier, axis=2) - 1
