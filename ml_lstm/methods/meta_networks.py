r"""Meta Networks (Munkhdalai & Yu, Meta Networks, ICML 2017): networks that compute weights for networks.

Slow weights are learned across episodes; fast weights are computed within one, from the gradients of losses on its
support set. A network d computes task-level fast weights Q* for the embedding u from the gradients of an embedding
loss. A network m computes example-level fast weights W*_i for the base learner b from the gradient of its loss on each
support example i. A memory M keeps these, indexed by embeddings R, and a query reads its fast weights from there.
"""

from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.cells.fast_weights import FastWeightsLSTM, FastWeightsMLP
from ml_lstm.episode import Problem
from ml_lstm.learners.augmented import AugmentedConvolutions, AugmentedMLP, augmented_dense, flatten, unflatten
from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, mean_cross_entropy, random_order, seed_of
from ml_lstm.methods.families.nearest_example import cosines
from ml_lstm.options import Count, Rate


@keras.saving.register_keras_serializable("ml_lstm")
class MetaNetworks(FewShotClassifier):
    r"""Classifies with a base learner whose fast weights are read from a memory.

    Algorithm 1 of the paper. The base learner's input is the task's representations r, as the algorithm's line 20
    allows, or the images x themselves:

    .. math::
        Q^* &= d(\nabla_Q L^{emb}_1, \ldots, \nabla_Q L^{emb}_T) \\
        R_i &= u_{Q,Q^*}(x'_i), \qquad M_i = m(\nabla_W L^{task}(b_W(R_i), y'_i)) \\
        r &= u_{Q,Q^*}(x), \qquad W^* = \mathrm{softmax}(\beta \cos(R, r) - \log n)^\top M,
        \qquad P(y | x) = b_{W,W^*}(r)

    where :math:`\beta` is `attention_scale`, and :math:`n_i` is the number of support examples of i's class. In the
    paper all classes have equally many, and n has no effect; without n, the class with most examples would have the
    largest part in every query's weights.

    d is an LSTM over the T gradients, and m is three dense layers. Both run over each coordinate on its own, with
    shared weights, on preprocessed gradients (Andrychowicz et al. 2016). No gradient goes through gradients.

    The T examples are drawn at random with a seed computed from the images: the same support set always
    has the same examples. The embedding loss depends on the number of shots (section 3.1 of the paper). If each class
    has one example, it is the cross-entropy of a fixed random linear layer on u. If some class has more, it is the
    contrastive loss of pairs, in turn of one class and of two. So d reads other gradients with several shots than with
    one. A problem may have more classes than meta-training: the output weights of the additional classes then start
    from fixed random numbers, like the softmax layer that the paper inserts for evaluation.

    Args:
        problem: see `FewShotClassifier`.
        filters: filters of each convolution of u.
        embedding_units: F, length of an embedding.
        embedding_network: the embedding network u: four convolutions and a dense layer, or three dense layers.
        layer_norm: whether each block of convolutions normalises its output over all values of an image (Ba et al.
            2016).
        base_learner: the base learner b below its output weights; features: one hidden layer on r; mlp: two hidden
            layers on the images; convolutions: four convolutions and a hidden layer on the images.
        base_filters: filters of each convolution of b, if it has any.
        base_units: H, hidden units of the base learner.
        task_examples: T, support examples or pairs that the task-level fast weights are computed from.
        task_level_embedding: whether the embedding has task-level fast weights Q*; MetaNet- has none.
        task_level_base: whether the base learner has task-level fast weights besides W*; MetaNet+ has.
        meta_units: hidden units of d and m.
        attention_scale: factor on the cosines before their softmax, 1 in the paper; a cosine is at most
            1, so with a factor of 1 the attention stays soft, which limits what training can learn.
        margin: margin of the contrastive loss.

    Raises:
        ValueError: for an option out of range, or for layer_norm without convolutions.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        filters: Count = 32,
        embedding_units: Count = 64,
        embedding_network: Literal["convolutions", "mlp"] = "convolutions",
        layer_norm: bool = False,
        base_learner: Literal["features", "mlp", "convolutions"] = "features",
        base_filters: Count = 32,
        base_units: Count = 64,
        task_examples: Count = 5,
        task_level_embedding: bool = True,
        task_level_base: bool = False,
        meta_units: Count = 20,
        attention_scale: Rate = 1.0,
        margin: Rate = 1.0,
        **kwargs,
    ):
        super().__init__(problem, **kwargs)
        if layer_norm and "convolutions" not in (embedding_network, base_learner):
            raise ValueError(
                "layer_norm normalises blocks of convolutions, and neither network has any: give "
                "embedding_network=convolutions or base_learner=convolutions, or leave layer_norm out."
            )
        self.filters, self.embedding_units, self.base_units = filters, embedding_units, base_units
        self.task_examples, self.meta_units, self.margin = task_examples, meta_units, margin
        self.attention_scale, self.layer_norm = attention_scale, layer_norm
        self.task_level_embedding, self.task_level_base = task_level_embedding, task_level_base
        self.embedding_network, self.base_learner, self.base_filters = embedding_network, base_learner, base_filters

        shared = {"dtype": self.dtype_policy, "name": "embedding"}
        if embedding_network == "convolutions":
            self.embedding = AugmentedConvolutions(filters, embedding_units, layer_norm=layer_norm, **shared)
        else:
            self.embedding = AugmentedMLP(embedding_units, **shared)
        self.embedding.build((None, *problem.image_shape))
        self._add_base_body()
        self.output_rows = self.add_weight(
            name="output_rows", shape=(self.n_way, base_units), initializer="glorot_normal"
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(self.n_way,), initializer="zeros")
        self.make_example_weights = FastWeightsMLP(meta_units, dtype=self.dtype_policy, name="m")
        if task_level_embedding:
            self.embedding_rows = self.add_weight(
                name="embedding_rows", shape=(self.n_way, embedding_units), initializer="glorot_normal", trainable=False
            )
            self.make_embedding_weights = FastWeightsLSTM(meta_units, dtype=self.dtype_policy, name="d")
        if task_level_base:
            self.make_base_weights = FastWeightsLSTM(meta_units, dtype=self.dtype_policy, name="d_base")
        self.built = True

    def _add_base_body(self):
        """The slow weights of the base learner below its output weights."""
        shared = {"linear": False, "dtype": self.dtype_policy, "name": "base"}
        if self.base_learner == "features":
            shape = (self.embedding_units, self.base_units)
            self.hidden_kernel = self.add_weight(name="hidden_kernel", shape=shape, initializer="he_normal")
            self.hidden_bias = self.add_weight(name="hidden_bias", shape=shape[1:], initializer="zeros")
            return
        if self.base_learner == "mlp":
            self.base_body = AugmentedMLP(self.base_units, layers=2, **shared)
        else:
            self.base_body = AugmentedConvolutions(
                self.base_filters, self.base_units, layer_norm=self.layer_norm, **shared
            )
        self.base_body.build((None, *self.problem.image_shape))

    @property
    def base_variables(self) -> list[keras.Variable]:
        """W, the slow weights of the base learner: a kernel and a bias in turn, the output weights last."""
        own = self.base_learner == "features"
        body = [self.hidden_kernel, self.hidden_bias] if own else self.base_body.slow
        return [*body, self.output_rows, self.output_bias]

    @property
    def meta_variables(self) -> list[keras.Variable]:
        """Z and G, the weights of m and d, which are the same for any embedding, base learner and problem."""
        layers = [self.make_example_weights]
        layers += [self.make_embedding_weights] if self.task_level_embedding else []
        layers += [self.make_base_weights] if self.task_level_base else []
        return [variable for layer in layers for variable in layer.trainable_variables]

    def take_meta_weights(self, other: "MetaNetworks") -> None:
        """Copies m and d from another instance; embedding and base learner stay unchanged (section 4.2.3).

        Raises:
            ValueError: if the other's m and d differ in size or number.
        """
        mine, others = self.meta_variables, other.meta_variables
        if [tuple(variable.shape) for variable in mine] != [tuple(variable.shape) for variable in others]:
            raise ValueError("m and d can only come from Meta Networks with the same meta_units and kinds of weights.")
        for variable, theirs in zip(mine, others, strict=True):
            variable.assign(theirs)

    def with_new_base_learner(self, filters: int, seed: int = 0) -> "MetaNetworks":
        """A copy with a new base learner, whose random slow weights are untrained (section 4.2.2).

        Args:
            filters: of each convolution of the new base learner.
            seed: determines its slow weights.

        Raises:
            ValueError: if the base learner has no convolutions.
        """
        if self.base_learner != "convolutions":
            raise ValueError(f"Only base_learner='convolutions' can be replaced, not {self.base_learner!r}.")
        new = type(self).from_config(self.get_config() | {"base_filters": filters})
        replaced = {id(variable) for variable in self.base_variables}
        for mine, other in zip(self.variables, new.variables, strict=True):
            if id(mine) not in replaced:
                other.assign(mine)
        *body, rows, bias = new.base_variables
        for number, kernel in enumerate(body[::2]):
            kernel.assign(keras.initializers.HeNormal(seed + number)(kernel.shape))
        rows.assign(keras.initializers.GlorotNormal(seed)(rows.shape))
        for each in (*body[1::2], bias):
            each.assign(tf.zeros(each.shape))
        return new

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Computes the fast weights; see `FewShotClassifier.adapt`."""
        images, labels = self.normalize(support_images), self.support_classes(support_labels)
        # The first T of this order are the drawn examples, and d reads them in this order.
        order = random_order(tf.reshape(images, [tf.shape(images)[0], -1]), labels, seed_of(support_images))
        images, labels = tf.gather(images, order), tf.gather(labels, order)
        n_classes = self.n_way if training else tf.reduce_max(labels) + 1
        shots = tf.gather(tf.math.unsorted_segment_sum(tf.ones_like(images[:, 0, 0, 0]), labels, n_classes), labels)
        adaptation = {"class_mask": class_mask(labels, n_classes), "log_shots": tf.math.log(shots)}
        if self.task_level_embedding:
            gradients = self.embedding_gradients(images, labels, n_classes, adaptation["class_mask"])
            adaptation["embedding_weights"] = self.make_embedding_weights(gradients)
        adaptation["keys"] = self._embed(images, adaptation)
        inputs = adaptation["keys"] if self.base_learner == "features" else images
        gradients = self.base_gradients(inputs, labels, n_classes, adaptation["class_mask"])
        adaptation["values"] = self.make_example_weights(gradients)
        if self.task_level_base:
            chosen = [index for index, _ in self._examples(labels)]
            adaptation["base_weights"] = self.make_base_weights([gradients[index] for index in chosen])
        return adaptation

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Classifies with fast weights read from the memory; see `FewShotClassifier.classify`."""
        images = self.normalize(query_images)
        features = self._embed(images, adaptation)
        attention = tf.nn.softmax(
            self.attention_scale * cosines(features, adaptation["keys"]) - adaptation["log_shots"]
        )
        fast = [tf.matmul(attention, adaptation["values"])]
        if self.task_level_base:
            fast.append(adaptation["base_weights"][None])
        mask = adaptation["class_mask"]
        slow = self._base_weights(tf.size(mask))
        shapes = [tf.shape(weight) for weight in slow]
        inputs = features if self.base_learner == "features" else images
        return mask_logits(self._base(inputs, [slow, *(unflatten(vectors, shapes) for vectors in fast)]), mask)

    def _embed(self, images, adaptation):
        fast = [adaptation["embedding_weights"]] if self.task_level_embedding else []
        return self.embedding(images, fast)

    def _examples(self, labels):
        """The first T support examples, each with the next partner: of its own class, if any, and of another, in turn.

        Yields:
            `(index, index of the partner)`, scalars.
        """
        count = tf.size(labels)
        for step in range(self.task_examples):
            index = step % count
            after = (index + tf.range(count)) % count
            same = tf.gather(tf.cast(tf.equal(labels, labels[index]), tf.int32), after)
            alike, other = same * tf.sign(tf.range(count)), 1 - same  # an example is not its own partner
            wanted, instead = (alike, other) if step % 2 == 0 else (other, alike)
            wanted = tf.where(tf.reduce_any(wanted > 0), wanted, instead)
            yield index, after[tf.argmax(wanted)]

    def embedding_gradients(self, images, labels, n_classes, mask) -> list[tf.Tensor]:
        """Constant gradients [P] of the embedding loss with respect to Q, one for each of T examples or pairs."""
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

    def base_gradients(self, inputs, labels, n_classes, mask) -> tf.Tensor:
        """Constant gradients [S, P_b] of the task loss with respect to W, one for each support example."""
        # Each example gets its own copy of the weights, and so its own gradient.
        own = [tf.repeat(weight[None], tf.size(labels), axis=0) for weight in self._base_weights(n_classes)]
        with tf.GradientTape() as tape:
            tape.watch(own)
            logits = mask_logits(self._base(inputs, [own]), mask)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.stop_gradient(flatten(tape.gradient(losses, own), leading=1))

    def _base_weights(self, n_classes):
        *body, rows, bias = map(tf.convert_to_tensor, self.base_variables)
        bias = tf.pad(bias, [[0, tf.maximum(n_classes - self.n_way, 0)]])[:n_classes]
        return [*body, _class_rows(rows, n_classes), bias]

    def _base(self, inputs, sets):
        """Logits [n, K] of features [n, F] or images [n, H, W, C], from sets of weights, shared or [n, ...]."""
        bodies = [weights[:-2] for weights in sets]
        own = self.base_learner == "features"
        hidden = augmented_dense(inputs, bodies) if own else self.base_body.with_sets(inputs, bodies)
        return augmented_dense(hidden, [(tf.linalg.matrix_transpose(w[-2]), w[-1]) for w in sets], linear=True)


def _class_rows(table, n_classes):
    """The rows of the first classes; rows beyond the table are fixed random numbers of the same scale."""
    table = tf.convert_to_tensor(table)
    known, width = table.shape
    more = tf.random.stateless_normal([tf.maximum(n_classes - known, 0), width], seed=[17, 4], dtype=table.dtype)
    return tf.concat([table, more * tf.math.reduce_std(table)], axis=0)[:n_classes]
