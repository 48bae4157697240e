"""Losses, slopes and candidates of flipped links, for an attacker who knows the defenses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.slopes import At, slope_of
from hartley.core import Data, Outcome, Output, View
from hartley.games.jailbreak.evasion import EvasionBrief
from hartley.kit.answer_units import log_probabilities
from hartley.kit.evasion_losses import of_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Flips = NDArray[np.float64]


PRICES = {"": 0, "ce": 2, "margin": 3, "dlr": 6}
"""Calls for the slope of a loss, of a model that has gradients of the cross-entropy alone."""


@dataclass(slots=True)
class FlippedRecords:
    """The records of a round with some of their pairs flipped.

    Attributes:
        view: of the attack.
        rng: of the noise of a smoothed model.
        draws: of that noise, for each slope; 0 for an attacker who asks for none.
        alike: links are only made between nodes that are more alike than this share of the links
            of the records, so that a defense by similarity keeps them.
    """

    view: View[EvasionBrief]
    rng: Rng
    draws: int = 1
    alike: float = 0.0
    left: float = field(init=False)
    noise: Mapping[str, Any] | None = field(init=False)
    clean: NDArray[np.float32] = field(init=False)
    allowed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        brief = self.view.brief
        self.left = brief.queries or np.inf
        self.noise = None
        if self.draws:
            known = {defense.name: defense.params for defense in self.view.defenses}
            self.noise = known.get("link_smoothing")
        self.clean = np.asarray(brief.question.x, np.float32)
        links = brief.links
        self.allowed = links.pairs(self.clean)
        if self.alike:
            linked, alike = links.linked(self.clean), links.alike(self.clean)
            usual = alike[linked & self.allowed]
            least = np.quantile(usual, self.alike, method="lower") if usual.size else 0.0
            self.allowed &= linked | (alike > least)

    @property
    def flips(self) -> int:
        """The most flips of a record."""
        return self.view.brief.links.flips

    def none(self) -> NDArray[np.float64]:
        """No flip (n, P)."""
        return np.zeros(self.allowed.shape)

    def records(self, flips: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return records ``rows`` (k,) with flips (k, P)."""
        return self.view.brief.links.flipped(self.clean[rows], flips)

    def asked(self, flips: NDArray[Any], rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the loss (k,) and the success (k,) of flips (k, P) of records.

        The loss is the margin, with targets the cross-entropy: that of the target and the label
        would also rise where a third class does.
        """
        brief, model = self.view.brief, self.view.model
        answers = np.asarray(model.calls["query"](self.records(flips, rows)))
        if model.output is Output.LABELS:
            success = brief.succeeds(answers, rows)
            return success.astype(np.float64), success
        z = log_probabilities(answers, model.output)
        labels = brief.question.labels[rows]
        targets = None if brief.targets is None else brief.targets[rows]
        loss, _ = of_array(z, labels, targets, "margin" if targets is None else "ce")
        return loss, brief.succeeds(z.argmax(1), rows)

    def at(self, flips: NDArray[Any], rows: NDArray[Any], loss: str) -> At:
        """Return loss, success and slope (k, P) at flips (k, P), by shares from 0 to 1.

        Behind a smoothed model they are means over draws of its noise, and success is that of most.
        """
        brief, links = self.view.brief, self.view.brief.links
        clean, draws = self.clean[rows], self.draws if self.noise else 1
        losses: Any = 0.0
        slopes: Any = 0.0
        votes = np.zeros(len(rows))
        for _ in range(draws):
            flipped = self._noise(flips, rows)
            mixed = flips + flipped * (1 - 2 * flips)
            x = links.flipped(clean, mixed)
            value, label, slope = slope_of(self.view.model, x, brief.wanted[rows], loss)
            losses = losses + value
            slopes = slopes + links.slopes(clean, slope) * (1 - 2 * flipped)
            votes += brief.succeeds(label, rows)
        return At(np.asarray(losses) / draws, votes * 2 > draws, np.asarray(slopes) / draws)

    def _noise(self, flips: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
        if not self.noise:
            return np.zeros(flips.shape)
        links = self.view.brief.links
        linked = links.linked(self.clean[rows]) != (flips > 0.5)
        chance = np.where(linked, self.noise["removed"], self.noise["added"])
        chance = chance * links.pairs(self.clean[rows])
        return np.asarray(self.rng.random(flips.shape) < chance, np.float64)

    def already(self) -> NDArray[np.bool_]:
        """Return which records (n,) need no flip, as far as one answer says."""
        everyone = np.arange(len(self.clean))
        self.left -= 1
        return np.asarray(self.asked(self.none(), everyone)[1])

    def affords(self, loss: str, queries: int) -> int:
        """Take what a step asks of each record; return how many queries remain of it.

        −1 says that the budget has nothing left for this step. A model without fused slopes is
        asked for an answer, and for the gradient of each class that a loss reads.

        Args:
            loss: whose slope the step takes; empty for none.
            queries: answers that it asks for besides, at most.
        """
        fused = self.view.model.calls.get("slope") is not None
        price = min(1, len(loss)) if fused else PRICES[loss]
        cost = price * (self.draws if self.noise else 1)
        if self.left < cost + (1 if queries else 0):
            return -1
        allowed = int(min(queries, self.left - cost))
        self.left -= cost + allowed
        return allowed

    def outcome(self, flips: NDArray[Any]) -> Outcome:
        """Return the records with flips (n, P)."""
        question = self.view.brief.question
        everyone = np.arange(len(self.clean))
        changed = self.records(np.round(flips), everyone)
        return Outcome(asset=Data("changed graphs", question.modality, changed, question.y))


def best_of(
    records: FlippedRecords, flips: NDArray[Any], rows: NDArray[Any], candidates: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Ask about one more flip for each of some pairs, and return the best of them.

    Args:
        records: of the round.
        flips: (k, P) flips until now.
        rows: (k,) records.
        candidates: (k, tries) pairs; −1 is none.

    Returns:
        The flips (k, P) with the best candidate, their loss (k,) and success (k,).
    """
    count, tries = candidates.shape
    trial = np.repeat(flips[:, None], tries, 1)
    where = np.arange(count)[:, None], np.arange(tries), np.maximum(candidates, 0)
    trial[where] = np.where(candidates >= 0, 1 - trial[where], trial[where])
    losses, success = records.asked(trial.reshape(count * tries, -1), np.repeat(rows, tries))
    losses, success = losses.reshape(count, tries), success.reshape(count, tries)
    best = (losses + 1e9 * success).argmax(1)
    at = np.arange(count), best
    return trial[at], losses[at], success[at]
