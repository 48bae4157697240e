"""Losses and slopes of a victim at changed records, through the defenses that the attacker knows.

An attacker with gradients gets the undefended network. What they know of a defense of its inputs
they put in front of it themselves: the mean over draws of the noise of randomized smoothing
(expectation over transformation, arXiv:1707.07397), the rounded record with the slope passed
straight through (BPDA, arXiv:1802.00420), and the denoiser itself, with its slope.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Applied, Model, View
from hartley.games.jailbreak.evasion import EvasionBrief
from hartley.kit.answer_units import log_probabilities
from hartley.kit.denoiser import Denoiser
from hartley.kit.evasion_losses import of_array, split_targets
from hartley.kit.input_rounding import rounded_inputs
from hartley.kit.vision.jpeg_rounding import jpeg_rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Array = NDArray[np.float32]


SMOOTHED = "randomized_smoothing"
OF_INPUTS = (SMOOTHED, "bit_depth", "jpeg", "purifier")
"""Defenses that change what the network reads, which an attacker who knows them does as well."""


@dataclass(frozen=True, slots=True)
class At:
    """What a victim gives at changed records.

    Attributes:
        loss: (k,) which the attack ascends.
        success: (k,) whether the answer is what the attacker wants.
        slope: (k, …) of the loss with respect to the records.
    """

    loss: NDArray[Any]
    success: NDArray[np.bool_]
    slope: NDArray[Any]


@dataclass(slots=True)
class Slopes:
    """Asks a victim for losses and slopes, as an attacker who knows its defenses does.

    Attributes:
        model: the victim.
        brief: of the game.
        draws: of a smoothed model's noise, for each slope.
        rng: of the noise.
        defenses: those that the attacker knows.
        wanted: (n,) labels or (n, 2) labels and targets; those of the brief where None.
        queries: records asked until now.
    """

    model: Model
    brief: EvasionBrief
    draws: int
    rng: Rng
    defenses: tuple[Applied, ...] = ()
    wanted: NDArray[Any] | None = None
    queries: int = 0

    @classmethod
    def of(cls, view: View[EvasionBrief], rng: Rng, draws: int) -> Slopes:
        """Return the slopes of a view."""
        return cls(view.model, view.brief, draws, rng, tuple(_of_inputs(view.defenses)))

    @property
    def noisy(self) -> bool:
        """Whether an answer to one record is a draw, so that one success is not a success."""
        return any(defense.name == SMOOTHED for defense in self.defenses)

    def at(self, x: Array, rows: NDArray[Any], loss: str) -> At:
        """Return what the victim gives at x (k, …), changed records ``rows`` (k,) of the question.

        With noise the loss and the slope are means over draws, and success is that of most draws.
        """
        wanted = (self.brief.wanted if self.wanted is None else self.wanted)[rows]
        draws = self.draws if self.noisy else 1
        losses: Any = 0.0
        slopes: Any = 0.0
        votes = np.zeros(len(x))
        for _ in range(draws):
            changed, passed = self._through(x)
            value, label, slope = slope_of(self.model, changed, wanted, loss)
            for denoiser, before in reversed(passed):
                slope = denoiser.pulled_back(before, slope)
            losses, slopes = losses + value, slopes + slope
            votes += self.brief.succeeds(label, rows)
        self.queries += draws * len(x)
        return At(np.asarray(losses), votes * 2 > draws, np.asarray(slopes))

    def steps(self, steps: int, restarts: int = 1) -> int:
        """Return how many steps of each restart the budget of queries allows, at least one."""
        if not self.brief.queries:
            return steps
        draws = self.draws if self.noisy else 1
        # A restart asks at its first point, after every step, and about the clean record.
        return max(1, min(steps, (self.brief.queries - 1) // (draws * restarts) - 2))

    def _through(self, x: Array) -> tuple[Array, list[tuple[Denoiser, Array]]]:
        """The records as they reach the network: the owner's order of defenses, last one first.

        With them each denoiser on the way, and what it was given.
        """
        rules, passed = self.brief.rules, list[tuple[Denoiser, "Array"]]()
        for defense in reversed(self.defenses):
            if defense.name == SMOOTHED:
                noise = self.rng.standard_normal(x.shape, dtype=np.float32)
                x = x + np.float32(defense.params["sigma"]) * noise * np.float32(rules.scale)
            elif defense.name == "bit_depth":
                x = rounded_inputs(x, int(defense.params["bits"]), rules.low, rules.high)
            elif defense.name == "jpeg":
                x = jpeg_rounded(x, int(defense.params["quality"]), rules.low, rules.high)
            elif self.brief.denoiser is not None:
                passed.append((self.brief.denoiser, x))
                x = self.brief.denoiser(x)
        return x, passed


def _of_inputs(defenses: Iterable[Applied]) -> list[Applied]:
    return [d for d in defenses if d.name in OF_INPUTS]


def slope_of(
    model: Model, x: Array, wanted: NDArray[Any], loss: str
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]:
    """Return losses (n,), labels (n,) and slopes (n, …) of a model.

    A model that has gradients of the cross-entropy alone is asked for those of each class that the
    loss reads.
    """
    ask = model.calls.get("slope")
    if ask is not None:
        answer = ask(x, wanted, loss)
        return answer[:, 0], answer[:, 1].astype(np.int64), answer[:, 2:].reshape(x.shape)
    labels, targets = split_targets(wanted)
    z = log_probabilities(model.calls["query"](x), model.output)
    values, terms = of_array(z, labels, targets, loss)
    slope = np.zeros(x.shape, np.float32)
    for classes, weights in terms:
        gradient = model.calls["grad"](x, classes)
        slope -= (weights.reshape(-1, *(1,) * (x.ndim - 1)) * gradient).astype(np.float32)
    return values, z.argmax(1), slope


def already(view: View[EvasionBrief], slopes: Slopes) -> NDArray[np.bool_]:
    """Return which records (n,) need no change, as far as one answer to the clean record says."""
    x = np.asarray(view.brief.question.x)
    if slopes.noisy:
        return np.zeros(len(x), dtype=bool)
    rows = np.arange(len(x))
    answers = np.asarray(view.model.calls["query"](slopes._through(x)[0]))
    return view.brief.succeeds(answers.argmax(1) if answers.ndim == 2 else answers, rows)


def aims_of(view: View[EvasionBrief], count: int) -> list[NDArray[np.int64]]:
    """Return classes (n,) to aim each record at: its target, or wrong ones, likeliest of all first.

    Args:
        view: of the attack.
        count: wrong classes at most; fewer where there are fewer.
    """
    brief, question = view.brief, view.brief.question
    if brief.targets is not None:
        return [np.asarray(brief.targets, np.int64)]
    z = log_probabilities(view.model.calls["query"](np.asarray(question.x)), view.model.output)
    z[np.arange(len(z)), question.labels] = -np.inf
    return [*np.argsort(-z, axis=1, kind="stable")[:, : min(count, brief.classes - 1)].T]
