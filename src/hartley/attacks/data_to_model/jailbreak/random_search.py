"""Random search: a suffix of tokens, changed at random, after which an answer begins rightly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_tokens import (
    joined,
    plain_tokens,
    suffix_scores,
)
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import (
    Tried,
    fitting,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LOOK = 25
"""Steps between two looks at the victim's answers."""

PUBLIC = 8
"""Questions with public answers on which one suffix for all questions is searched."""


@attack(
    game=jailbreak,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2404.02151",
    loot=Loot.TEXTS,
    sweep={"universal": (False, True), "size": (8, 20, 40)},
    light={"steps": 100, "size": 20},
)
def random_search(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 300,
    size: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 20,
    universal: bool = False,
) -> Outcome:
    """Change runs of tokens of a suffix at random; keep what makes the opening likelier.

    The suffix of an answered question is where those that are still refused start again.

    Args:
        steps: changes that are tried for each suffix.
        size: tokens of a suffix.
        universal: one suffix for all questions, searched on questions with public answers.

    Raises:
        UsageError: a suffix of this size does not fit into the context, or there are no questions
            with public answers to search one for all on.
    """
    brief = view.brief
    questions = [str(text) for text in brief.question.x]
    tokens, tried = plain_tokens(view), Tried(view)
    suffixes = rng.choice(tokens, (1 if universal else len(questions), size))
    longest = max(questions, key=len)
    if not fitting(view, [joined(view, [longest], suffixes[:1])[0]])[0]:
        raise UsageError(f"random_search: size must fit into {brief.context} tokens, got {size}")
    rows, openings = [*range(len(questions))], list(brief.openings)
    aimed_at = questions
    if universal:
        if not brief.public_pairs:
            raise UsageError("a universal suffix needs questions with public answers, got none")
        pairs = brief.public_pairs[:PUBLIC]
        aimed_at, openings = [q for q, _ in pairs], [_opening(brief, answer) for _, answer in pairs]
    score = suffix_scores(view, aimed_at, openings, suffixes, universal=universal)
    for step in range(steps):
        width = max(1, round(size * (1 - step / steps) / 4))
        trial = np.array(suffixes)
        for row in trial:
            start = int(rng.integers(size - min(width, size) + 1))
            row[start : start + width] = rng.choice(tokens, len(row[start : start + width]))
        new = suffix_scores(view, aimed_at, openings, trial, universal=universal)
        better = new > score
        suffixes[better], score = trial[better], np.maximum(new, score)
        if not universal and (step + 1) % LOOK == 0 and step + 1 < steps:
            open_rows = _look(tried, rows, questions, suffixes)
            if not open_rows:
                break
            solved = [i for i in rows if i not in open_rows]
            if solved:
                starts = suffixes[rng.choice(solved, len(open_rows))]
                lent = np.array(suffixes)
                lent[open_rows] = starts
                again = suffix_scores(view, aimed_at, openings, lent, universal=False)
                take = again > score
                suffixes[take], score = lent[take], np.maximum(again, score)
    _look(tried, rows, questions, suffixes)
    return Outcome(asset=tried.loot())


def _look(
    tried: Tried, rows: Sequence[int], questions: Sequence[str], suffixes: NDArray[Any]
) -> list[int]:
    """Ask the open questions with their suffixes; return those that are still open."""
    still = [i for i in rows if i in tried.open()]
    spread = suffixes[still] if len(suffixes) > 1 else np.repeat(suffixes, len(still), axis=0)
    if still:
        texts = joined(tried.view, [questions[i] for i in still], spread)
        tried.hold(still, [[text] for text in texts])
    return tried.open()


def _opening(brief: JailbreakBrief, answer: str) -> str:
    """Return how a public answer begins: as many of its words as an opening has."""
    return " ".join(answer.split()[: len(brief.openings[0].split())]) + " "
