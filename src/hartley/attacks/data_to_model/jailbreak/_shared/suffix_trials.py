"""What attacks by suffixes share: what they aim at, what they know of defenses, and a look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from hartley.attacks.data_to_model.jailbreak._shared.suffix_search import Aim, aims
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import (
    BEGUN,
    Tried,
    fitting,
)
from hartley.core import View
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from hartley.games.jailbreak.jailbreak import JailbreakBrief

FLUENT, COPIES = 0.5, 4
"""What an adaptive attacker weighs likelihood with, and copies that they average over."""


class Weights(TypedDict):
    """What a ``SuffixSearch`` weighs beside the wanted answer."""

    fluency: float
    copies: int


def against(view: View[JailbreakBrief], fluency: float, copies: int) -> Weights:
    """Return what to weigh, at least what works against the defenses that are known."""
    names = [defense.name for defense in view.defenses or ()]
    if any("perplexity" in name for name in names):
        fluency = max(fluency, FLUENT)
    if any("smooth" in name for name in names):
        copies = max(copies, COPIES)
    return Weights(fluency=fluency, copies=copies)


def public_openings(view: View[JailbreakBrief], count: int) -> tuple[list[str], list[str]]:
    """Return questions with public answers, and how those begin, up to what is asked for.

    Raises:
        UsageError: there are none.
    """
    brief = view.brief
    if not brief.public_pairs:
        raise UsageError("one attack for all needs questions with public answers, got none")
    words = len(brief.openings[0].split())
    pairs = brief.public_pairs[:count]
    return [q for q, _ in pairs], [" ".join(a.split()[:words]) for _, a in pairs]


def universal_aims(
    view: View[JailbreakBrief], count: int, *, whole: bool = True
) -> tuple[Aim, ...]:
    """Return questions with public answers to search one suffix for all questions on.

    Args:
        view: of the attack.
        count: how many of them at most.
        whole: aim at whole answers, else at how they begin.

    Raises:
        UsageError: there are none.
    """
    questions, openings = public_openings(view, count)
    # Whole answers hold secrets of others: a suffix that gives the right one of those leaves what
    # is asked for in place. Openings alone are said about any secret at all, but are shorter.
    answers = [answer for _, answer in view.brief.public_pairs[:count]]
    return aims(view, questions, answers if whole else openings)


def look(tried: Tried, rows: Sequence[int], suffixes: Sequence[str]) -> bool:
    """Ask questions with their suffixes; return whether all answers begin as they should."""
    view = tried.view
    texts = [str(view.brief.question.x[i]) + end for i, end in zip(rows, suffixes, strict=True)]
    if not all(fitting(view, texts)):
        raise UsageError(
            f"a question with its suffix must fit into {view.brief.context} tokens with an answer "
            f"of {view.brief.length}: use a shorter suffix"
        )
    candidates = tried.hold(list(rows), [[text] for text in texts])
    return all(candidate.rating >= BEGUN for candidate in candidates)
