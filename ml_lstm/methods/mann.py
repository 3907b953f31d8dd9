"""Memory-augmented network (Santoro et al., Meta-Learning with Memory-Augmented Neural Networks, ICML 2016).

A recurrent network with an external memory sees the pictures of an episode one by one, each together with the label
of the one before, and names the class of each as it comes: it has to keep a picture until its label
arrives, bind the two, and find them again. Nothing but its state changes within an episode.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from ml_lstm.cells.memory import MemoryCell
from ml_lstm.learners import LEARNERS, embedding
from ml_lstm.methods.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.inner_loop import canonical_order, class_mask, mask_logits


@keras.saving.register_keras_serializable("ml_lstm")
class MemoryAugmentedNetwork(EmbeddingBasedClassifier):
    """Reads an episode as a sequence, labels one step late.

    In meta-training the pictures of support set and queries, in random order, are one sequence, and each is to be
    classified as it comes, the first of its class too; the accuracy shown is that of the others. For an
    answer, the state after the support set is kept, which is read class after class in an order that does not depend on
    how it is listed; each query is one more step from there.

    Args:
        learner: see `EmbeddingBasedClassifier`; what the controller sees of a picture.
        n_way: labels that there are; an episode may have fewer classes.
        cell: the recurrent network; None for a `MemoryCell()`.
        image_mean: see `FewShotClassifier`.
        image_std: see `FewShotClassifier`.

    Raises:
        ValueError: for a learner that does not fit.
    """

    def __init__(self, learner: keras.Model, n_way: int, cell: MemoryCell | None = None, **settings):
        super().__init__(learner, n_way, **settings)
        self.memory = keras.layers.RNN(
            cell or MemoryCell(), return_sequences=True, return_state=True, dtype=self.dtype_policy
        )
        self.head = keras.layers.Dense(n_way, name="head", dtype=self.dtype_policy)
        self.memory.build((None, None, learner.output_shape[-1] + n_way))
        self.head.build((None, self.memory.cell.output_size))
        self.built = True

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **arguments):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        n_way = max(flags["n_way"], flags["train_n_way"])
        learner = LEARNERS[flags["learner"]](image_shape, n_way, flags["filters"], flags["batch_norm_momentum"])
        cell = MemoryCell(flags["controller_units"], flags["memory_rows"], flags["memory_width"], flags["read_heads"])
        return cls(embedding(learner), n_way, cell, **arguments)

    @property
    def most_classes(self) -> int:
        """See `FewShotClassifier.most_classes`."""
        return self.n_way

    def adapt(self, support_images, support_labels, training: bool = False):
        """The state after the support set, and its last label, still to be told; see `FewShotClassifier.adapt`."""
        features, labels = self.embed(support_images), tf.cast(support_labels, tf.int32)
        order = canonical_order(features, labels)
        features, labels = tf.gather(features, order), tf.gather(labels, order)
        _, *state = self._read(features[None], labels[None])
        named = {f"state_{index}": tensor[0] for index, tensor in enumerate(state)}
        return named | {"last_label": labels[-1], "class_mask": class_mask(labels, self.n_way)}

    def classify(self, adaptation, query_images, training: bool = False):
        """One step for each query, from where the support set ended; see `FewShotClassifier.classify`."""
        with keras.StatelessScope():  # the averages stay, transductive or not
            features = self.embed(query_images, training=self.transductive)
        count = tf.shape(features)[0]
        state = [
            tf.repeat(adaptation[f"state_{index}"][None], count, axis=0)
            for index in range(len(self.memory.cell.state_size))
        ]
        told = tf.repeat(tf.one_hot(adaptation["last_label"], self.n_way, dtype=features.dtype)[None], count, axis=0)
        outputs, _ = self.memory.cell(tf.concat([features, told], axis=-1), state)
        return mask_logits(self.head(outputs), adaptation["class_mask"])

    def sequence_logits(self, images, labels, training: bool = False) -> tf.Tensor:
        """What is answered to each picture of a sequence as it comes.

        Args:
            images: [B, T, H, W, C], uint8 or float in [0, 1].
            labels: int [B, T], in [0, n_way); that of time t is told at t + 1.
            training: whether the pictures are normalised by one another.

        Returns:
            Logits [B, T, n_way].
        """
        shape = tf.shape(labels)
        flat = tf.reshape(images, tf.concat([[-1], tf.shape(images)[2:]], axis=0))
        flat = tf.ensure_shape(flat, [None, *images.shape[2:]])
        features = tf.reshape(self.embed(flat, training), [shape[0], shape[1], self.learner.output_shape[-1]])
        outputs, *_ = self._read(features, tf.cast(labels, tf.int32))
        return self.head(outputs)

    def _read(self, features, labels):
        told = tf.one_hot(labels, self.n_way, dtype=features.dtype)
        late = tf.pad(told[:, :-1], [[0, 0], [1, 0], [0, 0]])
        inputs = tf.concat([features, late], axis=-1)
        return self.memory(inputs, initial_state=self.memory.cell.get_initial_state(tf.shape(inputs)[0]))

    def training_results(self, episodes):
        """Of all episodes at once; see `EmbeddingBasedClassifier.training_results`."""
        images, labels = (
            tf.concat([getattr(episodes, f"{part}_{name}") for part in ("support", "query")], axis=1)
            for name in ("images", "labels")
        )
        labels = tf.cast(labels, tf.int32)
        # An order that depends on nothing but the episode itself.
        seed = tf.reduce_sum(tf.cast(images, tf.int32) if images.dtype.is_integer else tf.cast(images * 255, tf.int32))
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(labels), [seed, 0]), axis=1)
        images, labels = (tf.gather(tensor, order, batch_dims=1) for tensor in (images, labels))
        logits, moved = self.collecting(lambda: self.sequence_logits(images, labels, training=True))
        losses = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), axis=1)
        right = tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels), tf.float32)
        later = tf.cast(instances(labels) > 0, tf.float32)
        accuracies = tf.math.divide_no_nan(tf.reduce_sum(right * later, axis=1), tf.reduce_sum(later, axis=1))
        return tf.cast(losses, tf.float32), accuracies, *(tensor[None] for tensor in moved)

    def get_config(self):
        return super().get_config() | {"cell": keras.saving.serialize_keras_object(self.memory.cell)}

    @classmethod
    def from_config(cls, config):
        return super().from_config(config | {"cell": keras.saving.deserialize_keras_object(config["cell"])})


def instances(labels: tf.Tensor) -> tf.Tensor:
    """How many of the labels [B, T] before each one are the same: int32 [B, T], 0 for the first of its class."""
    same = tf.cast(tf.equal(labels[:, :, None], labels[:, None, :]), tf.int32)
    earlier = tf.linalg.band_part(same, -1, 0)
    return tf.reduce_sum(earlier, axis=2) - 1
