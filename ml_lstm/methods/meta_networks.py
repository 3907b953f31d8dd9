r"""Meta Networks (Munkhdalai & Yu, Meta Networks, ICML 2017): networks that make weights for networks.

Slow weights are learned across episodes; fast weights are made within one, from the gradients of losses on its
support set. A network d makes task-level fast weights Q* for the embedding u from the gradients of an embedding loss; a
network m makes example-level fast weights W*_i for the base learner b from the gradient of its loss on each support
example i. These are kept in a memory M, indexed by embeddings R, and a query's fast weights are what it reads there.
"""

import keras
import tensorflow as tf

from ml_lstm.cells.preprocessing import preprocess
from ml_lstm.episode import Problem
from ml_lstm.learners.augmented import AugmentedConvolutions, flatten, unflatten
from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, mean_cross_entropy, random_order, seed_of
from ml_lstm.methods.families.nearest_example import cosines
from ml_lstm.options import Count, Rate


@keras.saving.register_keras_serializable("ml_lstm")
class MetaNetworks(FewShotClassifier):
    r"""Classifies by a base learner whose fast weights are read from a memory.

    Algorithm 1 of the paper, with the base learner on the task's representations r, as its line 20 allows:

    .. math::
        Q^* &= d(\nabla_Q L^{emb}_1, \ldots, \nabla_Q L^{emb}_T) \\
        R_i &= u_{Q,Q^*}(x'_i), \qquad M_i = m(\nabla_W L^{task}(b_W(R_i), y'_i)) \\
        r &= u_{Q,Q^*}(x), \qquad W^* = \mathrm{softmax}(\cos(R, r) - \log n)^\top M, \qquad P(y | x) = b_{W,W^*}(r)

    with :math:`n_i` the number of support examples of i's class. The paper has as many of each class, where n has no
    effect; else the class with most examples would have the largest part in every query's weights.

    d is an LSTM over the T gradients, and m three dense layers; both run over each coordinate on its own, with shared
    weights, on preprocessed gradients (Andrychowicz et al. 2016). No gradient is taken through gradients.

    The T examples are drawn at random, by a seed that is made of the pictures themselves: the same support set always
    has the same. The embedding loss is the cross-entropy of a fixed random linear layer on u where each class has one
    example, and the contrastive loss of pairs, in turn of one class and of two, where some class has more (section 3.1
    of the paper). So d sees other gradients with several shots than with one. A problem may have more
    classes than those of meta-training: the output weights of the others then start from fixed random numbers,
    as the paper's softmax layer that is put in for evaluation.

    Args:
        problem: see `FewShotClassifier`.
        filters: of each convolution of u.
        embedding_units: F, of an embedding.
        base_units: H, hidden units of the base learner.
        task_examples: T, support examples or pairs that make the task-level fast weights.
        task_level_embedding: whether there are Q*; MetaNet- has none.
        task_level_base: whether the base learner has task-level fast weights beside W*; MetaNet+ has.
        meta_units: of d and m.
        margin: of the contrastive loss.

    Raises:
        ValueError: for an option out of its range.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        filters: Count = 32,
        embedding_units: Count = 64,
        base_units: Count = 64,
        task_examples: Count = 5,
        task_level_embedding: bool = True,
        task_level_base: bool = False,
        meta_units: Count = 20,
        margin: Rate = 1.0,
        **kwargs,
    ):
        super().__init__(problem, **kwargs)
        self.filters, self.embedding_units, self.base_units = filters, embedding_units, base_units
        self.task_examples, self.meta_units, self.margin = task_examples, meta_units, margin
        self.task_level_embedding, self.task_level_base = task_level_embedding, task_level_base

        self.embedding = AugmentedConvolutions(filters, embedding_units, dtype=self.dtype_policy, name="embedding")
        self.embedding.build((None, *problem.image_shape))
        self.hidden_kernel = self.add_weight(
            name="hidden_kernel", shape=(embedding_units, base_units), initializer="he_normal"
        )
        self.hidden_bias = self.add_weight(name="hidden_bias", shape=(base_units,), initializer="zeros")
        self.output_rows = self.add_weight(
            name="output_rows", shape=(self.n_way, base_units), initializer="glorot_normal"
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(self.n_way,), initializer="zeros")
        self.make_example_weights = _CoordinateMLP(meta_units, dtype=self.dtype_policy, name="m")
        if task_level_embedding:
            self.embedding_rows = self.add_weight(
                name="embedding_rows", shape=(self.n_way, embedding_units), initializer="glorot_normal", trainable=False
            )
            self.make_embedding_weights = _CoordinateLSTM(meta_units, dtype=self.dtype_policy, name="d")
        if task_level_base:
            self.make_base_weights = _CoordinateLSTM(meta_units, dtype=self.dtype_policy, name="d_base")
        self.built = True

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Makes the fast weights; see `FewShotClassifier.adapt`."""
        images, labels = self.normalize(support_images), self.support_classes(support_labels)
        # Of these the first T are drawn, and d reads them in some order.
        order = random_order(tf.reshape(images, [tf.shape(images)[0], -1]), labels, seed_of(support_images))
        images, labels = tf.gather(images, order), tf.gather(labels, order)
        n_classes = self.n_way if training else tf.reduce_max(labels) + 1
        shots = tf.gather(tf.math.unsorted_segment_sum(tf.ones_like(images[:, 0, 0, 0]), labels, n_classes), labels)
        adaptation = {"class_mask": class_mask(labels, n_classes), "log_shots": tf.math.log(shots)}
        if self.task_level_embedding:
            gradients = self.embedding_gradients(images, labels, n_classes, adaptation["class_mask"])
            adaptation["embedding_weights"] = self.make_embedding_weights(gradients)
        adaptation["keys"] = self._embed(images, adaptation)
        gradients = self.base_gradients(adaptation["keys"], labels, n_classes, adaptation["class_mask"])
        adaptation["values"] = self.make_example_weights(gradients)
        if self.task_level_base:
            chosen = [index for index, _ in self._examples(labels)]
            adaptation["base_weights"] = self.make_base_weights([gradients[index] for index in chosen])
        return adaptation

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Reads a query's fast weights from the memory; see `FewShotClassifier.classify`."""
        features = self._embed(self.normalize(query_images), adaptation)
        attention = tf.nn.softmax(cosines(features, adaptation["keys"]) - adaptation["log_shots"])
        fast = [tf.matmul(attention, adaptation["values"])]
        if self.task_level_base:
            fast.append(adaptation["base_weights"][None])
        mask = adaptation["class_mask"]
        return mask_logits(self._base(features, fast, tf.size(mask)), mask)

    def _embed(self, images, adaptation):
        fast = [adaptation["embedding_weights"]] if self.task_level_embedding else []
        return self.embedding(images, fast)

    def _examples(self, labels):
        """The first T support examples and the next partner of each: in turn of its class, if any, and of another.

        Yields:
            `(index, index of the partner)`, scalars.
        """
        count = tf.size(labels)
        for step in range(self.task_examples):
            index = step % count
            after = (index + tf.range(count)) % count
            same = tf.gather(tf.cast(tf.equal(labels, labels[index]), tf.int32), after)
            alike, other = same * tf.sign(tf.range(count)), 1 - same  # it is no partner of itself
            wanted, instead = (alike, other) if step % 2 == 0 else (other, alike)
            wanted = tf.where(tf.reduce_any(wanted > 0), wanted, instead)
            yield index, after[tf.argmax(wanted)]

    def embedding_gradients(self, images, labels, n_classes, mask) -> list[tf.Tensor]:
        """Gradients [P] of the embedding loss to Q, one for each of T examples or pairs, constant."""
        rows = _class_rows(self.embedding_rows, n_classes)

        def classified(slow, index, _):
            features = self.embedding(images[index][None], slow=slow)
            logits = mask_logits(tf.matmul(features, rows, transpose_b=True), mask)
            return mean_cross_entropy(labels[index][None], logits)

        def contrasted(slow, index, partner):
            first, second = tf.unstack(self.embedding(tf.gather(images, [index, partner]), slow=slow))
            squared = tf.reduce_sum(tf.math.squared_difference(first, second))
            apart = tf.nn.relu(self.margin - tf.sqrt(squared + 1e-12))
            return tf.where(labels[index] == labels[partner], squared, tf.square(apart))

        def gradients(loss):
            found = []
            for index, partner in self._examples(labels):
                slow = [tf.convert_to_tensor(weight) for weight in self.embedding.slow]
                with tf.GradientTape() as tape:
                    tape.watch(slow)
                    value = loss(slow, index, partner)
                found.append(tf.stop_gradient(flatten(tape.gradient(value, slow))))
            return tf.stack(found)

        one_each = tf.size(labels) <= tf.reduce_sum(tf.cast(mask, tf.int32))
        stacked = tf.cond(one_each, lambda: gradients(classified), lambda: gradients(contrasted))
        return tf.unstack(stacked, self.task_examples)

    def base_gradients(self, features, labels, n_classes, mask) -> tf.Tensor:
        """Gradients [S, P_b] of the task loss to W, one for each support example, constant."""
        kernel, bias, rows, row_bias = self._base_weights(n_classes)
        before = tf.matmul(features, kernel) + bias
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(before)
            hidden = tf.nn.relu(before)
            logits = tf.matmul(hidden, rows, transpose_b=True) + row_bias
            tape.watch(logits)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, mask_logits(logits, mask))
        # Examples do not mix in a layer, so an example's gradient is an outer product.
        d_before, d_logits = tape.gradient(losses, before), tape.gradient(losses, logits)
        parts = (features[:, :, None] * d_before[:, None], d_before, d_logits[:, :, None] * hidden[:, None], d_logits)
        return tf.stop_gradient(flatten(parts, leading=1))

    def _base_weights(self, n_classes):
        rows, bias = _class_rows(self.output_rows, n_classes), tf.convert_to_tensor(self.output_bias)
        bias = tf.pad(bias, [[0, tf.maximum(n_classes - self.n_way, 0)]])[:n_classes]
        return tf.convert_to_tensor(self.hidden_kernel), tf.convert_to_tensor(self.hidden_bias), rows, bias

    def _base(self, features, fast, n_classes):
        """Logits [n, K] of features [n, F], with sets of fast weights [n or 1, P_b] beside the slow ones."""
        slow = self._base_weights(n_classes)
        shapes = [tf.shape(weight) for weight in slow]
        sets = [[weight[None] for weight in slow], *(unflatten(vectors, shapes) for vectors in fast)]

        def affine(inputs, kernels, biases, transpose=False):
            return tf.matmul(inputs[:, None], kernels, transpose_b=transpose)[:, 0] + biases

        hidden = sum(tf.nn.relu(affine(features, kernel, bias)) for kernel, bias, _, _ in sets)
        return sum(affine(hidden, rows, bias, transpose=True) for _, _, rows, bias in sets)


class _CoordinateMLP(keras.layers.Layer):
    """m: three dense layers from a gradient to a weight, over each coordinate: [..., P] to [..., P]."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy)
        self.second = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy)
        self.last = _nearly_nothing(self.dtype_policy)
        for layer, width in ((self.first, 2), (self.second, units), (self.last, units)):
            layer.build((None, width))
        self.built = True

    def call(self, gradients):
        return tf.squeeze(self.last(self.second(self.first(_features(gradients)))), axis=-1)


class _CoordinateLSTM(keras.layers.Layer):
    """d: an LSTM over gradients and a dense layer, over each coordinate: T of [P] to [P]."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lstm = keras.layers.LSTMCell(units, dtype=self.dtype_policy)
        self.last = _nearly_nothing(self.dtype_policy)
        self.lstm.build((None, 2))
        self.last.build((None, units))
        self.built = True

    def call(self, gradients):
        hidden = cell = tf.zeros([tf.size(gradients[0]), self.units], self.compute_dtype)
        for gradient in gradients:
            hidden, (_, cell) = self.lstm(_features(gradient), [hidden, cell])
        return tf.squeeze(self.last(hidden), axis=-1)


def _features(gradients):
    """Preprocessed numbers of any shape, the two features last, as Keras's layers take them."""
    return keras.ops.moveaxis(preprocess(gradients), 0, -1)


def _nearly_nothing(dtype):
    """The last layer of d and of m: fast weights that start far smaller than slow ones, and drown nothing."""
    return keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3), dtype=dtype)


def _class_rows(table, n_classes):
    """The rows of the first classes; those beyond the table are fixed random numbers of its scale."""
    table = tf.convert_to_tensor(table)
    known, width = table.shape
    more = tf.random.stateless_normal([tf.maximum(n_classes - known, 0), width], seed=[17, 4], dtype=table.dtype)
    return tf.concat([table, more * tf.math.reduce_std(table)], axis=0)[:n_classes]
