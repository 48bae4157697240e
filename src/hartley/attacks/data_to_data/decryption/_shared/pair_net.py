"""A small residual net that distinguishes pairs of Speck ciphertexts (Gohr 2019), trained here.

Its input are four words of each pair: the differences of the left words and of the right words
before the last round, which are known without the key, and these right words themselves
(Benamira and others 2021). Convolutions run along the 16 positions of bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.games.decryption.block_distinguishing import WORDS, ReducedSpeck, pairs
from hartley.kit.cache import cached
from hartley.kit.eager_optimizers import eager
from hartley.kit.speck import WORD, rotated

if TYPE_CHECKING:
    from numpy.typing import NDArray

EASIEST: Final = 5
"""Rounds of the cipher that training begins with."""

HARDEST: Final = 8
"""Rounds up to which training climbs one by one."""

CLIMB: Final = 0.4
"""Share of the pairs that are of fewer rounds than the cipher has."""

FILTERS: Final = 32
HIDDEN: Final = 64
BATCH: Final = 500
DRAWN: Final = 40
"""Batches that are encrypted at once."""

RATE: Final = 3e-3
DECAY: Final = 1e-3
FRESH: Final = 100
"""Steps in which the rate rises."""

LEARNED: Final = 0.01
"""Loss, in nats a pair, below which nothing is left to learn."""


def log_odds(blocks: NDArray[Any], cipher: ReducedSpeck, samples: int) -> NDArray[np.float64]:
    """Return (n,) log-odds that plaintexts differ by the difference of the cipher.

    The net is trained once for a cipher, and then is in the cache.

    Args:
        blocks: (n, 2, 2) ciphertexts: pair, block, word.
        cipher: the algorithm.
        samples: pairs that are trained on at most, each once.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    recipe = ["pair net", cipher.rounds, list(cipher.difference), samples]
    weights = cached("pair_net", recipe, lambda: trained(cipher, samples), code=trained)
    net = _net()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    net.eval()
    with torch.no_grad():
        answers = net(torch.from_numpy(signs(blocks)))[:, 0]
    return np.asarray(answers.numpy(), dtype=np.float64)


def known_words(blocks: NDArray[Any]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return (n, 2) left words, and right words as they were before the last round.

    The last round turned the right word and added the left one to it, without a key.
    """
    words = np.asarray(blocks, dtype=np.uint16)
    left = words[..., 0]
    return left, rotated(left ^ words[..., 1], -2)


def signs(blocks: NDArray[Any]) -> NDArray[np.float32]:
    """Return (n, 4, 16) of −1 and 1, the bits that the net reads, lowest first."""
    left, right = known_words(blocks)
    words = np.stack([left[:, 0] ^ left[:, 1], right[:, 0] ^ right[:, 1], *right.T], axis=1)
    bits = (words[:, :, None] >> np.arange(WORD, dtype=np.uint16)) & 1
    return 2 * bits.astype(np.float32) - 1


def trained(cipher: ReducedSpeck, samples: int) -> dict[str, NDArray[Any]]:
    """Return the weights of a net trained on pairs that are encrypted under keys drawn here.

    Args:
        cipher: the algorithm. Training climbs from 5 rounds to those it has, up to 8.
        samples: pairs, each of which is trained on once; fewer where nothing is left to learn.
    """
    import torch
    from torch import nn

    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = _net()
    optimizer = eager("AdamW")(net.parameters(), lr=RATE, weight_decay=DECAY)
    steps = max(2, samples // BATCH)
    losses: list[float] = []
    for step in range(steps):
        if step % DRAWN == 0:
            if losses and np.mean(losses[-DRAWN:]) < LEARNED:
                break
            count = min(DRAWN, steps - step) * BATCH
            now = ReducedSpeck(_rounds_at(step / steps, cipher.rounds), cipher.difference)
            coins = rng.integers(0, 2, count)
            keys = rng.integers(0, WORDS, (count, 4), dtype=np.uint16)
            x = torch.from_numpy(signs(pairs(now, coins, keys, rng)))
            y = torch.from_numpy(coins.astype(np.float32))
        rows = slice(step % DRAWN * BATCH, (step % DRAWN + 1) * BATCH)
        loss = nn.functional.binary_cross_entropy_with_logits(net(x[rows])[:, 0], y[rows])
        at = step / steps
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / FRESH, 1.1 * (1 - at))
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return {name: value.numpy() for name, value in net.state_dict().items()}


def _rounds_at(at: float, rounds: int) -> int:
    """Return the rounds of the pairs that are trained on at a share of the training."""
    climb = range(EASIEST, min(rounds, HARDEST))
    k = int(at / CLIMB * len(climb)) if climb else 0
    return climb[k] if k < len(climb) else rounds


def _net() -> Any:
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            layers: list[Any] = []
            for _ in range(2):
                layers += [nn.Conv1d(FILTERS, FILTERS, 3, padding=1), nn.BatchNorm1d(FILTERS)]
                layers += [nn.ReLU()]
            self.inner = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 1),
        nn.BatchNorm1d(FILTERS),
        nn.ReLU(),
        Residual(),
        nn.Flatten(),
        nn.Linear(WORD * FILTERS, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 1),
    )
