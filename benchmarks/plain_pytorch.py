"""The LSTM meta-learner in PyTorch, in its usual form, as the comparison for `benchmarks.meta_step`.

It has a module for the learner, another for the update rule over an LSTM cell whose batch is the learner's coordinates,
and uses autograd for both loops. It has first-order meta-gradients, batch norm by the batch in meta-training and by
running averages in meta-test, and uses all cores. It is also an independent check: from the weights of a `MetaLSTM`,
episodes give the same parameters and meta-gradient.
"""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from ml_lstm.episode import Episode
from ml_lstm.methods import MetaLSTM

P = 10.0  # from the preprocessing of Andrychowicz et al. (2016)


class Conv4(nn.Module):
    """Four blocks of convolution, batch norm, ReLU and max-pooling, and a linear head: [n, C, H, W] to [n, n_way]."""

    def __init__(self, image_shape: tuple[int, int, int], n_way: int, filters: int = 32, momentum: float = 0.9):
        super().__init__()
        height, width, channels = image_shape
        blocks = []
        for number in range(4):
            blocks += [
                nn.Conv2d(filters if number else channels, filters, 3, padding=1),
                nn.BatchNorm2d(filters, eps=1e-3, momentum=momentum),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(filters * (height // 16) * (width // 16), n_way)

    def forward(self, images):
        return self.head(self.features(images).flatten(1))

    def reset_averages(self) -> None:
        """Resets batch norm's running averages, as for each episode."""
        for layer in self.features:
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()


class UpdateRule(nn.Module):
    """An LSTM over each coordinate on its own, and the gates of Ravi & Larochelle on its output."""

    def __init__(self, hidden_units: int):
        super().__init__()
        self.lstm = nn.LSTMCell(4, hidden_units)
        self.input_gate = nn.Linear(hidden_units + 2, 1)
        self.forget_gate = nn.Linear(hidden_units + 2, 1)

    def forward(self, loss, gradient, parameters, state):
        """The next parameters [P] and state, from a loss, its gradient [P] and the previous ones."""
        hidden, cell, input_gate, forget_gate = state
        features = torch.cat([preprocess(loss).expand(len(gradient), 2), preprocess(gradient)], dim=1)
        hidden, cell = self.lstm(features, (hidden, cell))

        def gate(layer, last):
            return torch.sigmoid(layer(torch.cat([hidden, parameters[:, None], last[:, None]], dim=1))[:, 0])

        input_gate, forget_gate = gate(self.input_gate, input_gate), gate(self.forget_gate, forget_gate)
        return forget_gate * parameters - input_gate * gradient, (hidden, cell, input_gate, forget_gate)

    def initial_state(self, coordinates: int):
        """Zeros for this number of coordinates."""
        wide, narrow = torch.zeros(coordinates, self.lstm.hidden_size), torch.zeros(coordinates)
        return wide, wide, narrow, narrow


def preprocess(values: torch.Tensor) -> torch.Tensor:
    """(log|v| / p, sgn v) where |v| is at least e^-p, else (-1, e^p v): [...] to [..., 2]."""
    large = values.abs() >= math.exp(-P)
    magnitude = torch.where(large, values.abs().clamp_min(math.exp(-P)).log() / P, -1.0)
    return torch.stack([magnitude, torch.where(large, values.sign(), values * math.exp(P))], dim=-1)


class PlainMetaLSTM(nn.Module):
    """The learner and its optimizer, with the weights of an `ml_lstm` `MetaLSTM`.

    Args:
        ours: on `learners.conv4`, first order, with an LSTM and the cell `MetaLSTMCell` of the paper, without a shared
            head, with the whole support set in each inner step.
        image_shape: `(height, width, channels)`.
        compiled: whether `torch.compile` compiles the learner and the update rule, forward and backward.
    """

    def __init__(self, ours: MetaLSTM, image_shape: tuple[int, int, int], compiled: bool = False):
        super().__init__()
        self.inner_steps = ours.inner_steps
        self.learner = Conv4(image_shape, ours.n_way)
        self.rule = UpdateRule(ours.cell.hidden_units)
        self.shapes = {name: value.shape for name, value in self.learner.named_parameters()}
        self._load(ours, image_shape)
        if compiled:
            self.logits = torch.compile(self.logits, dynamic=False)
            self.rule = torch.compile(self.rule, dynamic=False)

    def _load(self, ours, image_shape):
        load_learner(self.learner, ours.learner, image_shape)
        lstm, rule = ours.coordinate_lstm, self.rule
        with torch.no_grad():
            rule.lstm.weight_ih.copy_(tensor(lstm.kernel).T)
            rule.lstm.weight_hh.copy_(tensor(lstm.recurrent_kernel).T)
            rule.lstm.bias_ih.copy_(tensor(lstm.bias))
            rule.lstm.bias_hh.zero_()
            for name in ("input_gate", "forget_gate"):
                kernel, bias = (getattr(ours.cell, name.replace("gate", part)) for part in ("kernel", "bias"))
                getattr(rule, name).weight.copy_(tensor(kernel)[None])
                getattr(rule, name).bias.fill_(float(bias))

    def split(self, parameters: torch.Tensor) -> dict[str, torch.Tensor]:
        """A vector [P] as the learner's parameters by name."""
        pieces = parameters.split([shape.numel() for shape in self.shapes.values()])
        return {name: piece.view(shape) for piece, (name, shape) in zip(pieces, self.shapes.items(), strict=True)}

    def logits(self, parameters: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """The logits of the learner with parameters [P]."""
        return functional_call(self.learner, self.split(parameters), images)

    def adapt(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Parameters [P] after the inner steps on a support set."""
        self.learner.train()
        parameters = torch.cat([value.flatten() for value in self.learner.parameters()])
        state = self.rule.initial_state(len(parameters))
        for _ in range(self.inner_steps):
            inner = parameters.detach().requires_grad_()
            loss = F.cross_entropy(self.logits(inner, images), labels)
            (gradient,) = torch.autograd.grad(loss, inner)
            parameters, state = self.rule(loss.detach(), gradient, parameters, state)
        return parameters

    def meta_loss(self, episode: Sequence[torch.Tensor]) -> torch.Tensor:
        """The loss of the queries after adaptation; all images are normalised by their own batch."""
        support_images, support_labels, query_images, query_labels = episode
        parameters = self.adapt(support_images, support_labels)
        return F.cross_entropy(self.logits(parameters, query_images), query_labels)

    def meta_step(self, optimizer: torch.optim.Optimizer, episode: Sequence[torch.Tensor]) -> float:
        """One step of meta-training on an episode; returns its loss."""
        optimizer.zero_grad()
        loss = self.meta_loss(episode)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 0.25)
        optimizer.step()
        return loss.item()

    def meta_test(self, episode: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the queries after adaptation, normalised by the averages of the support set."""
        support_images, support_labels, query_images, _ = episode
        self.learner.reset_averages()
        with torch.enable_grad():
            parameters = self.adapt(support_images, support_labels).detach()
        self.learner.eval()
        with torch.no_grad():
            return self.logits(parameters, query_images)


def load_learner(learner: Conv4, ours: keras.Model, image_shape: tuple[int, int, int]) -> None:
    """Copies the weights of a `learners.conv4`, or of its features alone."""
    places = (image_shape[0] // 16, image_shape[1] // 16)
    with torch.no_grad():
        for parameter, variable in zip(learner.parameters(), ours.trainable_variables, strict=False):
            parameter.copy_(to_pytorch(variable, places))


def tensor(value) -> torch.Tensor:
    """A Keras variable or a TensorFlow tensor in PyTorch."""
    return torch.tensor(tf.convert_to_tensor(value).numpy())


def to_pytorch(value, places: tuple[int, int]) -> torch.Tensor:
    """One of the learner's variables, or its gradient, in PyTorch's order of dimensions.

    Args:
        value: a convolution's kernel, the head's, or a vector.
        places: height and width of the feature maps before the head.
    """
    value = tensor(value)
    if value.ndim == 4:  # [height, width, in, out]
        return value.permute(3, 2, 0, 1)
    if value.ndim == 2:  # [height x width x channels, out], and PyTorch flattens [channels, height, width]
        return value.view(*places, -1, value.shape[1]).permute(3, 2, 0, 1).flatten(1)
    return value


def episode_tensors(episode: Episode, ours: MetaLSTM) -> list[torch.Tensor]:
    """An episode of uint8 images, normalised like `ours` does: images [n, C, H, W], labels int64 [n]."""

    def images(pixels):
        return tensor(ours.normalize(pixels)).permute(0, 3, 1, 2).contiguous()

    def labels(numbers):
        return tensor(numbers).long()

    support_images, support_labels, query_images, query_labels = episode
    return [images(support_images), labels(support_labels), images(query_images), labels(query_labels)]
