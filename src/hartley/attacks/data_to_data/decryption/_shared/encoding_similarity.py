"""A small net that says whether two encodings share a private picture, after arXiv:2011.05315.

It is trained on mixtures that the attacker makes of public pictures. A convolution sees the
absolute values of one encoding and gives each place a direction; encodings are alike as far as
their directions agree over all places. Where the paper's net sees both encodings at once, this one
sees each by itself, so that all pairs cost one product of matrices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.games.decryption.mixed_pictures import GREY, encoded, paired

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH: Final = 32
"""Channels of the net."""

PRIVATE: Final = 16
"""Public pictures that stand for private ones in a batch."""

TIMES: Final = 8
"""Encodings of each in a batch."""

RATE: Final = 2e-3
"""Learning rate of Adam."""


def trained(public: NDArray[Any], mixed: int, steps: int) -> Any:
    """Return a function from |encodings| (n, c, h, w) to their similarities (n, n).

    Args:
        public: (m, c, h, w) pictures in 0..255, at least 20.
        mixed: public pictures in an encoding, besides the two that are looked for.
        steps: batches that the net is trained on; once for the same public pictures.
    """
    values = np.ascontiguousarray(public, dtype=np.uint8)
    return _trained(values.tobytes(), values.shape, mixed, steps)


@lru_cache(maxsize=2)
def _trained(public: bytes, shape: tuple[int, ...], mixed: int, steps: int) -> Any:
    import torch
    from torch import nn

    pictures = np.frombuffer(public, dtype=np.uint8).reshape(shape)
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(shape[1], WIDTH, 5, padding=2),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        )
        line = nn.Parameter(torch.tensor([10.0, -2.0]))
    optimizer = torch.optim.Adam([*net.parameters(), line], RATE)

    def directions(levels: NDArray[Any]) -> Any:
        places = net(torch.as_tensor(np.ascontiguousarray(levels), dtype=torch.float32))
        return nn.functional.normalize(places, dim=1).flatten(1) / places[0, 0].numel() ** 0.5

    for _ in range(steps):
        order = rng.permutation(len(pictures))
        turned = pictures[order]
        for axis in (2, 3):
            turned = np.flip(turned, axis) if rng.random() < 0.5 else turned
        count = min(PRIVATE, len(pictures) // 2)
        slots = paired(count, TIMES, rng)
        encodings = encoded(turned[:count], slots, rng, turned[count:], mixed)
        towards = directions(np.abs(encodings / GREY - 1))
        one, other = np.triu_indices(len(slots), 1)
        share = (slots[one][:, :, None] == slots[other][:, None]).any((1, 2))
        score = line[0] * (towards @ towards.T)[one, other] + line[1]
        wanted = torch.as_tensor(share, dtype=torch.float32)
        loss = nn.functional.binary_cross_entropy_with_logits(score, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()

    def similarity(levels: NDArray[Any]) -> NDArray[np.float64]:
        with torch.no_grad():
            towards = directions(levels).numpy()
        return np.asarray(towards @ towards.T, dtype=np.float64)

    return similarity
