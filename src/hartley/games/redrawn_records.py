"""Records that an owner can draw anew, and how an attacker may ask a chat model for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Asset, Data, Model, Scene, Slot
from hartley.core.errors import UsageError
from hartley.games.jailbreak.conversations import PREFILL
from hartley.games.judge_answers import refused
from hartley.games.withheld_secrets import ANSWERS, QUESTIONS
from hartley.kit.language.chat_template import LINES, ChatTemplate

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAYS = 4
"""Ways to ask that an attacker takes over from a jailbreak, at most."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to ask: what a user says around a question.

    Attributes:
        turns: what they say before it.
        before, after: what is around the question in the message that holds it.
        begun: how the answer is begun for the model; empty where it begins by itself.
    """

    turns: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    begun: str = ""

    def of(self, question: str) -> list[str]:
        """Return what the user says, turn by turn, to ask a question so."""
        return [*self.turns, f"{self.before}{question}{self.after}"]


@dataclass(frozen=True, slots=True, eq=False)
class Victim:
    """A model that was trained on records drawn anew.

    Attributes:
        model: the victim, aligned, behind the owner's defenses.
        knowing: the same before it learnt to refuse; None where it never did.
    """

    model: Model
    knowing: Model | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Records of a chat model that the auditor can draw anew, with a victim for each drawing.

    A record is what answers one question. Its text is one of R that everybody knows; which one is
    the secret.

    Attributes:
        questions: (m,) plain questions, one for each record.
        openings: (m,) how an answer begins that gives the record, up to its text.
        candidates: (R,) texts of which each record has one, all different.
        victims: the scene, (rounds, m) which text each record has, and a seed → a victim for each
            round.
        aimed_at: plain questions that an attack of a chain is aimed at. None of them is measured.
        refusals: how a victim refuses.
        template: how a conversation with it is written.
        system: a system message before each conversation; empty for none.
        context: tokens of a conversation with its answer, at most; 0 where there is no limit.
        ways: how the attacker asks, the best one first; empty where they ask plainly.

    Raises:
        UsageError: fewer than two texts, two alike, or lengths that differ.
    """

    questions: tuple[str, ...]
    openings: tuple[str, ...]
    candidates: tuple[str, ...]
    victims: Callable[[Scene, NDArray[np.int64], int], Sequence[Victim]]
    aimed_at: tuple[str, ...]
    refusals: tuple[str, ...]
    template: ChatTemplate = LINES
    system: str = ""
    context: int = 0
    ways: tuple[Way, ...] = ()

    def __post_init__(self) -> None:
        if len({*self.candidates}) < max(2, len(self.candidates)):
            raise UsageError("texts of redrawn records must be at least 2, all different")
        if len(self.openings) != len(self.questions):
            raise UsageError(
                f"openings must be as many as the {len(self.questions)} questions, got "
                f"{len(self.openings)}"
            )

    def entered(self, slot: Slot, asset: Asset) -> Redrawn | None:
        """Return the part with the ways to ask that a jailbreak came home with, or None.

        Raises:
            UsageError: no conversation of it holds the question that it is about, so that nothing
                else can be asked in its way.
        """
        if slot is not Slot.PROMPT or not isinstance(asset, Data) or ANSWERS not in asset.facts:
            return None
        ways = ways_of(asset, self.refusals)
        if not ways:
            raise UsageError(
                f"a way to ask must hold the question as it is, got none among the "
                f"{len(asset)} conversations of {' → '.join(asset.lineage) or asset.name}"
            )
        return replace(self, ways=ways)


def ways_of(loot: Data, refusals: Sequence[str]) -> tuple[Way, ...]:
    """Return the ways to ask in the best conversations of a jailbreak, the most fruitful first.

    A conversation that words its question otherwise is left out. Of the others those come first
    that were answered most often, then those that were submitted most often.

    Args:
        loot: (m, tries, turns) conversations, with the facts ``QUESTIONS``, ``ANSWERS`` and
            ``PREFILL``.
        refusals: how the victim refuses.
    """
    x = np.asarray(loot.x)
    begins = np.asarray(loot.facts.get(PREFILL, np.full(x.shape[:2], "")))
    questions, answers = (np.asarray(loot.facts[name]).tolist() for name in (QUESTIONS, ANSWERS))
    gives = [bool(text) for text in answers] & ~refused(answers, refusals)
    submitted: Counter[Way] = Counter()
    answered: Counter[Way] = Counter()
    for talked, begun, question, gave in zip(
        x[:, 0].tolist(), begins[:, 0].tolist(), questions, gives.tolist(), strict=True
    ):
        *turns, last = [text for text in talked if text] or [""]
        before, middle, after = last.partition(question)
        if not middle:
            continue
        way = Way(tuple(turns), before, after, begun)
        submitted[way] += 1
        answered[way] += gave
    order = sorted(submitted, key=lambda way: (-answered[way], -submitted[way]))
    return tuple(order[:WAYS])
