"""Record requests: ask a chat model for each record, plainly or in ways that a jailbreak opened."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.jailbreak.conversations import folded, talk
from hartley.games.judge_answers import refused
from hartley.games.memorization.recitation import RecitationBrief, recitation
from hartley.games.redrawn_records import Way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hartley.core.parts import Rng


@attack(
    game=recitation,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2304.05197",
)
def record_requests(view: View[RecitationBrief], rng: Rng) -> Outcome:
    """Ask for each record as often as the game allows, and keep the answer that comes most often.

    Each way to ask is tried greedily first, and then sampled, in turn. Refusals and empty answers
    are left out. Alone the attack asks plainly; in a chain after a jailbreak it puts each question
    in the ways that were brought home, and asks no more often.
    """
    brief = view.brief
    ways = brief.ways or (Way(),)
    questions = [str(text) for text in brief.question.x]
    answers: list[list[str]] = [[] for _ in questions]
    spent = turn = 0
    while spent + len(ways[turn % len(ways)].turns) < brief.queries:
        way, again = ways[turn % len(ways)], turn >= len(ways)
        seed = int(rng.integers(2**31)) if again else -1
        for row, text in zip(answers, _asked(view, way, questions, seed), strict=True):
            row.append(text)
        spent, turn = spent + len(way.turns) + 1, turn + 1
    texts = np.array([_likeliest(row, brief.refusals) for row in answers], dtype=np.str_)
    return Outcome(asset=Data("answers", Modality.LANGUAGE, texts, role="texts"))


def _asked(view: View[RecitationBrief], way: Way, questions: Sequence[str], seed: int) -> list[str]:
    """Return the victim's answers to questions that are asked in one way."""
    brief = view.brief
    talked = talk(
        view.model,
        brief.template,
        [way.of(question) for question in questions],
        brief.length,
        system=brief.system,
        prefills=[way.begun] * len(questions),
        seed=seed,
        context=brief.context,
    )
    return [f"{way.begun}{replies[-1]}" for replies in talked]


def _likeliest(texts: Sequence[str], refusals: Sequence[str]) -> str:
    """Return the answer that came most often, the first of those; none where all refuse."""
    refuses = refused(texts, refusals)
    given = [text for text, refuse in zip(texts, refuses, strict=True) if text and not refuse]
    if not given:
        return ""
    counts = Counter(map(folded, given))
    return max(given, key=lambda text: counts[folded(text)])
