"""A recurrent decoder that writes the text whose embedding it is given.

The role of GEIA's (arXiv:2305.03010) and Vec2Text's (arXiv:2310.06816) decoders at a size that a
CPU trains in a minute or two: one gated recurrent layer that reads the embedding at every step, and
a direct linear way from the embedding to the words.
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
    """How a decoder is built and trained: Adam, one-cycle, batches of shuffled texts.

    Attributes:
        width: of the recurrent state; words and the embedding's reading have a third of it. At
            most the number of words, so that a toy vocabulary gets a toy.
        epochs: passes over the texts.
        least: steps at least, for a bank of a few texts.
        batch: texts a step.
        rate: highest learning rate.
    """

    width: int = 384
    epochs: int = 8
    least: int = 60
    batch: int = 64
    rate: float = 3e-3

    def train(self, embeddings: NDArray[Any], tokens: NDArray[Any], seed: int) -> Written:
        """Train on texts and their embeddings; kept on disk by content.

        Args:
            embeddings: (n, d).
            tokens: (n, t) ids, −1 at the right.
            seed: of the first weights and of the order.
        """
        names = np.unique(tokens[tokens >= 0])
        rows = np.where(tokens >= 0, np.searchsorted(names, np.maximum(tokens, 0)), -1)
        # Entries of about unit size, whatever the width of the embeddings.
        level, scale = embeddings.mean(0), float(embeddings.std()) + 1e-12
        scaled = ((embeddings - level) / scale).astype(np.float32)
        recipe = ["decoder", 5, asdict(self), scaled, rows, seed]
        weights = cached("decoder", recipe, lambda: _train(self, scaled, rows, len(names), seed))
        return Written(names, level, scale, weights)


@dataclass(frozen=True, slots=True)
class Written:
    """A trained decoder."""

    names: NDArray[np.int64]
    level: NDArray[np.float64]
    scale: float
    weights: Weights

    def beam(
        self, embeddings: NDArray[Any], longest: int, width: int = 8
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The likeliest texts of each embedding by beam search.

        Args:
            embeddings: (m, d).
            longest: tokens at most.
            width: hypotheses that are kept.

        Returns:
            (m, width, longest) token ids, −1 at the right, and their (m, width) mean
            log-probabilities a token, the best first.
        """
        scaled = ((np.asarray(embeddings) - self.level) / self.scale).astype(np.float32)
        rows, scores = _beam(self.weights, scaled, len(self.names), longest, width)
        return np.where(rows >= 0, self.names[np.maximum(rows, 0)], -1), scores


def _sizes(weights: Weights) -> tuple[int, int]:
    return weights["gru.weight_hh_l0"].shape[1], weights["read.weight"].shape[1]


def _network(vocabulary: int, inputs: int, width: int) -> Any:
    import torch

    third = width // 3
    # Two more names: the end of a text, and its beginning.
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


def _train(how: Decoder, x: NDArray[Any], rows: NDArray[Any], names: int, seed: int) -> Weights:
    import torch
    from torch.nn import functional

    width = min(how.width, 3 * -(-names // 3))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any = _network(names, x.shape[1], width)
    end, begin = names, names + 1
    wanted = np.concatenate([rows, np.full((len(rows), 1), -1)], 1)
    wanted[np.arange(len(rows)), (rows >= 0).sum(1)] = end
    rng = np.random.default_rng(seed)
    steps = max(how.least, round(how.epochs * len(rows) / how.batch))
    order = np.concatenate(
        [rng.permutation(len(rows)) for _ in range(-(-steps * how.batch // len(rows)))]
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=how.rate, weight_decay=0.01)
    pace = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda t: min(1.0, (t + 1) / 30) * max(0.02, 1 - t / steps)
    )
    for step in range(steps):
        batch = order[step * how.batch : (step + 1) * how.batch]
        longest = int((wanted[batch] >= 0).sum(1).max())
        goal = torch.from_numpy(wanted[batch][:, :longest])
        before = torch.cat([torch.full((len(batch), 1), begin), goal[:, :-1].clamp(min=0)], 1)
        logits, _ = _step(network, torch.from_numpy(x[batch]), before, None)
        real = goal >= 0
        loss = functional.cross_entropy(logits[real], goal[real])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        pace.step()
    return {k: v.detach().numpy().copy() for k, v in network.state_dict().items()}


def _step(network: Any, x: Any, before: Any, state: Any) -> tuple[Any, Any]:
    """Logits (n, t, names + 1) of what follows ``before`` (n, t), and the new state."""
    import torch

    if state is None:
        state = torch.tanh(network["start"](x))[None]
    read = network["read"](x)[:, None].expand(-1, before.shape[1], -1)
    heard = torch.cat([network["words"](before), read], -1)
    states, state = network["gru"](heard, state)
    made = network["out"](states) + network["direct"](x)[:, None]
    logits = made @ network["words"].weight[:-1].T + network["bias"].weight[:, 0]
    return logits, state


def _beam(
    weights: Weights, x: NDArray[Any], names: int, longest: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    import torch

    size, inputs = _sizes(weights)
    network: Any = _network(names, inputs, size)
    network.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in weights.items()})
    m, end = len(x), names
    heard = torch.from_numpy(np.repeat(x, width, 0))
    rows = np.full((m, width, longest + 1), -1, dtype=np.int64)
    score = np.full((m, width), -np.inf)
    score[:, 0] = 0.0  # all beams begin alike: only the first counts
    last, state = torch.full((m * width, 1), names + 1), None
    with torch.no_grad():
        for at in range(longest + 1):
            logits, state = _step(network, heard, last, state)
            told = torch.log_softmax(logits[:, -1], -1).numpy().astype(np.float64)
            told = told.reshape(m, width, -1)
            # A text that has ended stays as it is, at no cost.
            ended = (rows == end).any(2)
            told[ended] = -np.inf
            told[ended, end] = 0.0
            if at == longest:
                told[..., :end] = -np.inf
            total = (score[..., None] + told).reshape(m, -1)
            best = np.argpartition(-total, width - 1, axis=1)[:, :width]
            score = np.take_along_axis(total, best, 1)
            parent, word = best // told.shape[2], best % told.shape[2]
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
