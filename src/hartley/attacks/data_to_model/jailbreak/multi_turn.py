"""Multi-turn: lead up to the question by harmless ones, and step back from a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.attacks.data_to_model.jailbreak._shared.wordings import REWORDINGS, Wording
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import RuleError, UsageError
from hartley.games.jailbreak.conversations import folded
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2404.01833",
    loot=Loot.TEXTS,
    sweep={"lead": ("benign", "public"), "steps": (1, 3, 6)},
    light={"attempts": 2},
)
def multi_turn(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 100), Stronger.MORE] = 3,
    attempts: Annotated[int, Range(1, 100), Stronger.MORE] = 6,
    lead: Literal["benign", "public"] = "benign",
) -> Outcome:
    """Ask harmless questions about the same thing first, then the question in other words.

    An attempt that is refused is taken back: the next one begins with other questions and another
    wording. A conversation whose leading questions are refused is not gone on with.

    Args:
        steps: messages before the question, at most; the game's turns limit them.
        attempts: conversations about each question, at most.
        lead: benign are questions that share words with it, public are public answers of the same
            kind, which the user repeats.

    Raises:
        UsageError: the game allows one turn alone.
    """
    brief = view.brief
    if brief.turns < 2:
        raise UsageError("multi_turn needs a game of at least 2 turns, got 1")
    tried = Tried(view)
    before = min(steps, brief.turns - 1)
    near = [_near(str(question), brief, lead) for question in brief.question.x]
    for attempt in range(attempts):
        rows = tried.open()
        if not rows:
            break
        wordings = [Wording(int(rng.integers(len(REWORDINGS))) if attempt else 0) for _ in rows]
        turns = []
        for i, wording in zip(rows, wordings, strict=True):
            # Of the nearest half as many again, so that attempts differ and stay near.
            few = near[i][: before + attempt]
            chosen = sorted(int(k) for k in rng.choice(len(few), min(before, len(few)), False))
            ask = wording.of(str(brief.question.x[i]), brief.openings[i])
            turns.append([*(few[k] for k in reversed(chosen)), ask])
        _hold(tried, rows, turns)
    return Outcome(asset=tried.loot())


def _hold(tried: Tried, rows: Sequence[int], turns: list[list[str]]) -> None:
    """Hold conversations; those that do not fit lose their first messages."""
    while True:
        try:
            tried.hold(rows, turns)
            return
        except RuleError:
            if max(map(len, turns)) == 1:
                raise
            turns = [row[1:] if len(row) > 1 else row for row in turns]


def _near(question: str, brief: JailbreakBrief, lead: str) -> list[str]:
    """Return messages to lead with, those that share most words with the question first."""
    if lead == "public":
        return [f"{pair[0]} {pair[1]}" for pair in brief.public_pairs] or [*brief.benign]
    words = {*folded(question).rstrip("?.").split()}

    def shared(text: str) -> float:
        others = {*folded(text).rstrip("?.").split()}
        return len(words & others) / len(words | others)

    return sorted(brief.benign, key=lambda text: -shared(text))
