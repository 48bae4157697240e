"""Template agent: a local agent words a question otherwise and refines what the victim answers.

The role of PAIR (arXiv:2310.08419) and TAP (arXiv:2312.02119) without a second language model: the
proposals are templates, and what takes the place of the attacker model's judgement is a count of
which parts of a wording were answered so far. A wrong answer counts as none: an answer must have
the form of those that are public.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import (
    ANSWERED,
    BEGUN,
    Tried,
    fitting,
)
from hartley.attacks.data_to_model.jailbreak._shared.wordings import PARTS, Wording, drawn
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2312.02119",
    loot=Loot.TEXTS,
    sweep={"width": (1, 3), "branches": (2, 6)},
    light={"depth": 2, "branches": 3},
)
def template_agent(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    depth: Annotated[int, Range(1, 100), Stronger.MORE] = 5,
    branches: Annotated[int, Range(1, 100), Stronger.MORE] = 4,
    width: Annotated[int, Range(1, 100), Stronger.NEITHER] = 2,
) -> Outcome:
    """Grow a tree of wordings for each question, and keep the branches that are answered best.

    Args:
        depth: levels of the tree.
        branches: wordings that each kept one is changed into.
        width: wordings that are kept after each level.
    """
    brief = view.brief
    tried, memory = Tried(view), _Memory()
    leaves = [[drawn(rng) for _ in range(width)] for _ in brief.openings]
    for _ in range(depth):
        proposals = [
            (i, wording, wording.of(str(brief.question.x[i]), brief.openings[i]))
            for i in tried.open()
            for leaf in leaves[i]
            for wording in (memory.changed(leaf, rng) for _ in range(branches))
        ]
        fits = fitting(view, [text for _, _, text in proposals])
        proposals = [proposal for proposal, fit in zip(proposals, fits, strict=True) if fit]
        if not proposals:
            break
        rows = [i for i, _, _ in proposals]
        candidates = tried.hold(rows, [[text] for _, _, text in proposals])
        scored: dict[int, list[tuple[float, Wording]]] = {i: [] for i in rows}
        for (i, wording, _), candidate in zip(proposals, candidates, strict=True):
            memory.note(wording, candidate.rating)
            scored[i].append((candidate.rating, wording))
        for i, pairs in scored.items():
            pairs.sort(key=lambda pair: -pair[0])
            leaves[i] = [wording for _, wording in pairs[:width]]
    return Outcome(asset=tried.loot())


class _Memory:
    """Which parts of a wording were answered, over all questions."""

    def __init__(self) -> None:
        # One answer and one refusal beforehand: what was never tried has an even chance.
        self.answered = {name: np.ones(len(parts)) for name, parts in PARTS.items()}
        self.refused = {name: np.ones(len(parts)) for name, parts in PARTS.items()}

    def note(self, wording: Wording, rating: float) -> None:
        """Count one answer for each part of its wording; one that began rightly counts twice."""
        for name in PARTS:
            part = getattr(wording, name)
            if rating >= ANSWERED:
                self.answered[name][part] += 1 + (rating >= BEGUN)
            else:
                self.refused[name][part] += 1

    def changed(self, wording: Wording, rng: Rng) -> Wording:
        """Return a wording with one or two parts drawn by their chance of an answer."""
        for name in rng.choice([*PARTS], int(rng.integers(1, 3)), replace=False):
            # Thompson sampling: what is little tried is tried, what is refused is left.
            chances = rng.beta(self.answered[name], self.refused[name])
            wording = replace(wording, **{str(name): int(chances.argmax())})
        return wording
