"""A recurrent decoder from an embedding to its text.

It replaces the decoders of GEIA (arXiv:2305.03010) and Vec2Text (arXiv:2310.06816) at a size that
a CPU trains in a minute or two: one gated recurrent layer that reads the embedding at every step,
and a direct linear map from the embedding to the words.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.cache import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Decoder:
    """The size and the training of a decoder: Adam with warm-up, on batches of shuffled texts.

    Attributes:
        width: of the recurrent state, at most three times the number of words, rounded up. The
            embeddings of words and the projected input have a third of it.
        epochs: passes over the texts.
        least: least number of steps, for an attacker with few texts.
        batch: texts per step.
        rate: highest learning rate.
    """

    width: int = 384
    epochs: int = 8
    least: int = 60
    batch: int = 64
    rate: float = 3e-3

    def train(self, embeddings: NDArray[Any], tokens: NDArray[Any], seed: int) -> TrainedDecoder:
        """Train on texts and their embeddings; the weights are cached on disk.

        Args:
            embeddings: (n, d) embeddings of the texts.
            tokens: (n, t) token ids, padded with −1.
            seed: of the initial weights and of the order.
        """
        names = np.unique(tokens[tokens >= 0])
        rows = np.where(tokens >= 0, np.searchsorted(names, np.maximum(tokens, 0)), -1)
        # Entries have a size of about 1, for any width of the embeddings.
        level, scale = embeddings.mean(0), float(embeddings.std()) + 1e-12
        scaled = ((embeddings - level) / scale).astype(np.float32)
        recipe = ["decoder", 5, asdict(self), scaled, rows, seed]
        weights = cached("decoder", recipe, lambda: _train(self, scaled, rows, len(names), seed))
        return TrainedDecoder(names, level, scale, weights)


@dataclass(frozen=True, slots=True)
class TrainedDecoder:
    """A trained decoder.

    Attributes:
        names: (v,) token ids of its vocabulary.
        level: (d,) mean of the embeddings.
        scale: standard deviation of their entries.
        weights: of the network, by name.
    """

    names: NDArray[np.int64]
    level: NDArray[np.float64]
    scale: float
    weights: Weights

    def beam(
        self, embeddings: NDArray[Any], longest: int, width: int = 8
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the likeliest texts of each embedding by beam search.

        Args:
            embeddings: (m, d) embeddings.
            longest: largest number of tokens.
            width: number of hypotheses.

        Returns:
            (m, width, longest) token ids padded with −1, and their mean log-probabilities per token
            (m, width), in descending order.
        """
        scaled = ((np.asarray(embeddings) - self.level) / self.scale).astype(np.float32)
        rows, scores = _beam(self.weights, scaled, len(self.names), longest, width)
        return np.where(rows >= 0, self.names[np.maximum(rows, 0)], -1), scores


def _sizes(weights: Weights) -> tuple[int, int]:
    return weights["gru.weight_hh_l0"].shape[1], weights["read.weight"].shape[1]


def _network(vocabulary: int, inputs: int, width: int) -> Any:
    import torch

    third = width // 3
    # The vocabulary has two more entries: the end and the beginning of a text.
    return torch.nn.ModuleDict(
        {
            "words": torch.nn.Embedding(vocabulary + 2, third),
            "read": torch.nn.Linear(inputs, third),
            "start": torch.nn.Linear(inputs, width),
            "gru": torch.nn.GRU(2 * third, width, batch_first=True),
            "out": torch.nn.Linear(width, third),
            "direct": torch.nn.Linear(inputs, third),
            "bias": torch.nn.Linear(1, vocabulary + 1, bias=False),
        }
    )


def _train(decoder: Decoder, x: NDArray[Any], rows: NDArray[Any], names: int, seed: int) -> Weights:
    import torch
    from torch.nn import functional

    width = min(decoder.width, 3 * -(-names // 3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any = _network(names, x.shape[1], width)
    end, begin = names, names + 1
    targets = np.concatenate([rows, np.full((len(rows), 1), -1)], 1)
    targets[np.arange(len(rows)), (rows >= 0).sum(1)] = end
    rng = np.random.default_rng(seed)
    steps = max(decoder.least, round(decoder.epochs * len(rows) / decoder.batch))
    order = np.concatenate(
        [rng.permutation(len(rows)) for _ in range(-(-steps * decoder.batch // len(rows)))]
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=decoder.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda t: min(1.0, (t + 1) / 30) * max(0.02, 1 - t / steps)
    )
    for step in range(steps):
        batch = order[step * decoder.batch : (step + 1) * decoder.batch]
        longest = int((targets[batch] >= 0).sum(1).max())
        batch_targets = torch.from_numpy(targets[batch][:, :longest])
        previous = torch.cat(
            [torch.full((len(batch), 1), begin), batch_targets[:, :-1].clamp(min=0)], 1
        )
        logits, _ = _step(network, torch.from_numpy(x[batch]), previous, None)
        real = batch_targets >= 0
        loss = functional.cross_entropy(logits[real], batch_targets[real])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return {k: v.detach().numpy().copy() for k, v in network.state_dict().items()}


def _step(network: Any, x: Any, previous: Any, state: Any) -> tuple[Any, Any]:
    """Return logits (n, t, names + 1) of the tokens after ``previous`` (n, t), and the state."""
    import torch

    if state is None:
        state = torch.tanh(network["start"](x))[None]
    projected = network["read"](x)[:, None].expand(-1, previous.shape[1], -1)
    inputs = torch.cat([network["words"](previous), projected], -1)
    states, state = network["gru"](inputs, state)
    hidden = network["out"](states) + network["direct"](x)[:, None]
    logits = hidden @ network["words"].weight[:-1].T + network["bias"].weight[:, 0]
    return logits, state


def _beam(
    weights: Weights, x: NDArray[Any], names: int, longest: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    import torch

    size, inputs = _sizes(weights)
    network: Any = _network(names, inputs, size)
    network.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in weights.items()})
    m, end = len(x), names
    repeated = torch.from_numpy(np.repeat(x, width, 0))
    rows = np.full((m, width, longest + 1), -1, dtype=np.int64)
    score = np.full((m, width), -np.inf)
    score[:, 0] = 0.0  # all beams start alike: only the first counts
    last, state = torch.full((m * width, 1), names + 1), None
    with torch.no_grad():
        for at in range(longest + 1):
            logits, state = _step(network, repeated, last, state)
            log_probs = torch.log_softmax(logits[:, -1], -1).numpy().astype(np.float64)
            log_probs = log_probs.reshape(m, width, -1)
            # A text that has ended does not change, nor does its score.
            ended = (rows == end).any(2)
            log_probs[ended] = -np.inf
            log_probs[ended, end] = 0.0
            if at == longest:
                log_probs[..., :end] = -np.inf
            total = (score[..., None] + log_probs).reshape(m, -1)
            best = np.argpartition(-total, width - 1, axis=1)[:, :width]
            score = np.take_along_axis(total, best, 1)
            parent, word = best // log_probs.shape[2], best % log_probs.shape[2]
            rows = np.take_along_axis(rows, parent[..., None], 1)
            rows[..., at] = np.where(np.take_along_axis(ended, parent, 1), -1, word)
            flat = (np.arange(m)[:, None] * width + parent).reshape(-1)
            state = state[:, torch.from_numpy(flat)]
            last = torch.from_numpy(word.reshape(-1, 1))
    tokens = np.where(rows == end, -1, rows)
    mean = score / np.maximum((tokens >= 0).sum(2) + 1, 1)
    order = np.argsort(-mean, 1, kind="stable")
    return (
        np.take_along_axis(tokens, order[..., None], 1)[..., :longest],
        np.take_along_axis(mean, order, 1),
    )
