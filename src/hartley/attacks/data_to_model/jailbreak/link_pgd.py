"""Link PGD: ascend over shares of flips within the budget, then draw whole flips from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.link_slopes import FlippedRecords
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.evasion import EvasionBrief, evasion
from hartley.kit.evasion_losses import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links to flip; pgd follows gradients within a norm",
        "audio": "only graphs have links to flip; pgd follows gradients within a norm",
        "tabular": "only graphs have links to flip; pgd follows gradients within a norm",
    },
    paper="arXiv:1906.04214",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "alike": (0.0, 0.05, 0.35)},
)
def link_pgd(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    loss: Loss = "margin",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 20,
    step: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 1.0,
    tries: Annotated[int, Range(1, 1000), Stronger.MORE] = 12,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 4,
) -> Outcome:
    """Ascend the loss over a share of each flip; draw flips by these shares, and keep the best.

    Shares are from 0 to 1 and sum to the budget at most; each step is projected onto these. At the
    end the largest shares and draws by them are asked about.

    Args:
        loss: what is ascended: ce, margin or dlr.
        steps: number of steps.
        step: length of the first step's largest entry, in flips; it falls with the root of their
            number, as published.
        tries: sets of whole flips that are asked about at the end.
        alike: make links only between nodes that are more alike than this share of the links.
        draws: of a smoothed model's noise, for each slope.
    """
    records = FlippedRecords(view, rng, draws, alike)
    shares = records.none()
    everyone = np.ones(len(shares), dtype=bool)
    rows = np.flatnonzero(everyone if records.noise else ~records.already())
    if records.left < np.inf:
        tries = int(min(tries, max(1, records.left // 2)))
    if not len(rows) or records.left < tries:
        return records.outcome(shares)
    reserve, records.left = tries, records.left - tries
    for t in range(steps):
        if records.affords(loss, 0) < 0:
            break
        slope = np.where(records.allowed[rows], records.at(shares[rows], rows, loss).slope, 0.0)
        largest = np.maximum(np.abs(slope).max(1, keepdims=True), 1e-12)
        moved = shares[rows] + step / np.sqrt(t + 1) * slope / largest
        shares[rows] = within(moved, records.flips) * records.allowed[rows]
    flips = records.none()
    best = np.full(len(rows), -np.inf)
    for attempt in range(reserve):
        chosen = _whole(shares[rows], records.flips, rng if attempt else None)
        losses, success = records.asked(chosen, rows)
        value = losses + 1e9 * success
        better = value > best
        flips[rows[better]], best[better] = chosen[better], value[better]
    return records.outcome(flips)


def within(shares: NDArray[Any], flips: int) -> NDArray[np.float64]:
    """Return the nearest shares (n, P) from 0 to 1 that sum to ``flips`` at most.

    They are those cut to 0 … 1 after a number is subtracted from each; it is found by bisection.
    """
    out = np.clip(shares, 0.0, 1.0)
    over = out.sum(1) > flips
    low, high = np.zeros((over.sum(), 1)), np.maximum(shares[over].max(1, keepdims=True), 0.0)
    for _ in range(50):
        middle = (low + high) / 2
        more = np.clip(shares[over] - middle, 0, 1).sum(1, keepdims=True) > flips
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    out[over] = np.clip(shares[over] - high, 0, 1)
    return np.asarray(out)


def _whole(shares: NDArray[Any], flips: int, rng: Rng | None) -> NDArray[np.float64]:
    """Return whole flips (n, P): the largest shares, or draws by them, as many as are allowed."""
    drawn = shares > 0 if rng is None else rng.random(shares.shape) < shares
    order = np.argsort(-np.where(drawn, shares, 0.0), axis=1, kind="stable")[:, :flips]
    out = np.zeros(shares.shape)
    np.put_along_axis(out, order, 1.0, 1)
    return out * drawn
