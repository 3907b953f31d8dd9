"""Prototypical Networks and MAML in PyTorch, in the style of its libraries, as the comparison for `benchmarks.compare`.

Prototypical Networks follow EasyFSL: a backbone runs on the support set, whose features give prototypes, then
on the queries. MAML follows learn2learn: the network's parameters are copied, gradient descent on the copy keeps its
graph, and the backward pass of the queries' loss goes through all of it. Batches are normalised by their own statistics
in meta-training. In meta-test both methods normalise by running averages, so that answers do not depend on each other.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from benchmarks.plain_pytorch import Conv4, load_learner
from ml_lstm.methods import MAML, PrototypicalNetworks


class PlainPrototypicalNetworks(nn.Module):
    """A backbone, and the distances of its features to the mean of each class.

    Args:
        ours: on the features of `learners.conv4`; its weights are copied.
        image_shape: `(height, width, channels)`.
    """

    def __init__(self, ours: PrototypicalNetworks, image_shape: tuple[int, int, int]):
        super().__init__()
        (filters,) = {layer.filters for layer in ours.learner.layers if hasattr(layer, "filters")}
        learner = Conv4(image_shape, 1, filters, momentum=ours.batch_norm_momentum)
        load_learner(learner, ours.learner, image_shape)
        self.backbone = nn.Sequential(learner.features, nn.Flatten())

    def forward(self, support_images, support_labels, query_images):
        """Logits of the queries: minus the squared distances."""
        features = self.backbone(support_images)
        classes = range(int(support_labels.max()) + 1)
        prototypes = torch.stack([features[support_labels == number].mean(dim=0) for number in classes])
        return -torch.cdist(self.backbone(query_images), prototypes).square()

    def meta_step(self, optimizer: torch.optim.Optimizer, episode: Sequence[torch.Tensor]) -> float:
        """One step of training on an episode; returns its loss."""
        *given, query_labels = episode
        self.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(self(*given), query_labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def meta_test(self, episode: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the queries, normalised by the running averages."""
        self.eval()
        with torch.no_grad():
            return self(*episode[:3])


class PlainMAML(nn.Module):
    """A network, and gradient descent on a copy of its parameters.

    Args:
        ours: on `learners.conv4`, without a shared head; its weights are copied.
        image_shape: `(height, width, channels)`.
    """

    def __init__(self, ours: MAML, image_shape: tuple[int, int, int]):
        super().__init__()
        self.inner_steps, self.learning_rate = ours.inner_steps, ours.inner_learning_rate
        self.second_order = ours.second_order
        self.learner = Conv4(image_shape, ours.n_way)
        load_learner(self.learner, ours.learner, image_shape)

    def adapt(self, images: torch.Tensor, labels: torch.Tensor, training: bool) -> dict[str, torch.Tensor]:
        """The parameters by name after the inner steps, with their graph in training."""
        self.learner.train()
        create_graph = training and self.second_order
        parameters = dict(self.learner.named_parameters())
        for _ in range(self.inner_steps):
            loss = F.cross_entropy(functional_call(self.learner, parameters, images), labels)
            gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
            parameters = {
                name: parameter - self.learning_rate * gradient
                for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
            }
        return parameters

    def meta_loss(self, episode: Sequence[torch.Tensor]) -> torch.Tensor:
        """The loss of the queries after adaptation; all images are normalised by their own batch."""
        support_images, support_labels, query_images, query_labels = episode
        parameters = self.adapt(support_images, support_labels, training=True)
        return F.cross_entropy(functional_call(self.learner, parameters, query_images), query_labels)

    def meta_step(self, optimizer: torch.optim.Optimizer, episode: Sequence[torch.Tensor]) -> float:
        """One step of meta-training on an episode; returns its loss."""
        optimizer.zero_grad()
        loss = self.meta_loss(episode)
        loss.backward()
        optimizer.step()
        return loss.item()

    def meta_test(self, episode: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the queries after adaptation, normalised by the averages of the support set."""
        support_images, support_labels, query_images, _ = episode
        self.learner.reset_averages()
        parameters = self.adapt(support_images, support_labels, training=False)
        self.learner.eval()
        with torch.no_grad():
            return functional_call(self.learner, parameters, query_images)
