"""The losses that evasion attacks ascend: cross-entropy, margin and DLR, with their slopes.

All read log-probabilities (or logits: what only shifts a row changes none of them but the
cross-entropy). Larger is better for the attacker. With targets ``t`` an attack wants that class;
without them any class but the label ``y``.

* ``ce``: −log p_y; with targets log p_t.
* ``margin``: max_{i≠y} z_i − z_y; with targets z_t − z_y (arXiv:1608.04644).
* ``dlr``: the margin divided by the distance of the first from the third logit, with targets from
  the mean of the third and fourth (arXiv:2003.01690). It does not change when logits are
  multiplied, so that a model which scales them up cannot hide its slope. It needs three classes,
  with targets four; with fewer it is the margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Loss = Literal["ce", "margin", "dlr"]

TINY = 1e-12
"""Added to the denominator of DLR, as in the authors' code."""


def split_targets(y: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return labels (n,) and targets (n,) or None, of labels (n,) or pairs (n, 2)."""
    y = np.asarray(y, np.int64)
    return (y, None) if y.ndim == 1 else (y[:, 0], y[:, 1])


def of_tensor(z: torch.Tensor, y: torch.Tensor, t: torch.Tensor | None, loss: str) -> torch.Tensor:
    """Return losses (n,) that autograd can go through.

    Args:
        z: (n, classes) logits.
        y: (n,) labels.
        t: (n,) targets, or None.
        loss: ``ce``, ``margin`` or ``dlr``.
    """
    import torch.nn.functional as F

    if loss == "ce":
        sign, label = (-1.0, y) if t is None else (1.0, t)
        return sign * F.log_softmax(z, 1).gather(1, label[:, None])[:, 0]
    label_z = z.gather(1, y[:, None])[:, 0]
    if t is None:
        others = z.scatter(1, y[:, None], float("-inf"))
        margin = others.amax(1) - label_z
    else:
        margin = z.gather(1, t[:, None])[:, 0] - label_z
    width = z.shape[1]
    if loss == "margin" or width < (3 if t is None else 4):
        return margin
    top = z.topk(3 if t is None else 4, dim=1).values
    far = top[:, 2] if t is None else (top[:, 2] + top[:, 3]) / 2
    return margin / (top[:, 0] - far + TINY)


def of_array(
    z: NDArray[Any], y: NDArray[Any], t: NDArray[Any] | None, loss: str
) -> tuple[NDArray[np.float64], list[tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    """Return losses (n,) of log-probabilities (n, classes), and their slope.

    Returns:
        The losses, and the slope as pairs of classes (n,) and weights (n,): the loss rises by the
        weight times what the log-probability of the class rises by. Other classes have no weight.
    """
    z = np.asarray(z, np.float64)
    rows, one = np.arange(len(z)), np.ones(len(z))
    if loss == "ce":
        sign, label = (-1.0, y) if t is None else (1.0, t)
        return sign * z[rows, label], [(label, sign * one)]
    if t is None:
        others = z.copy()
        others[rows, y] = -np.inf
        t, untargeted = others.argmax(1), True
    else:
        untargeted = False
    margin = z[rows, t] - z[rows, y]
    if loss == "margin" or z.shape[1] < (3 if untargeted else 4):
        return margin, [(t, one), (y, -one)]
    order = np.argsort(-z, axis=1, kind="stable")
    far = [2] if untargeted else [2, 3]
    width = z[rows, order[:, 0]] - z[rows[:, None], order[:, far]].mean(1) + TINY
    slope = [(t, 1 / width), (y, -1 / width), (order[:, 0], -margin / width**2)]
    slope += [(order[:, f], margin / width**2 / len(far)) for f in far]
    return margin / width, slope
