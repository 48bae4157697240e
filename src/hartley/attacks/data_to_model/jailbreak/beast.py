"""BEAST: a suffix by beam search over the victim's own next tokens, without a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_search import SuffixSearch, aims
from hartley.attacks.data_to_model.jailbreak._shared.suffix_trials import look, universal_aims
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak
from hartley.kit.answer_units import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.15570",
    loot=Loot.TEXTS,
    sweep={"universal": (True, False), "beams": (4, 10)},
    light={"beams": 6, "tuning": 4},
)
def beast(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    size: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 20,
    beams: Annotated[int, Range(1, 1000), Stronger.MORE] = 8,
    branches: Annotated[int, Range(1, 1000), Stronger.MORE] = 8,
    universal: bool = True,
    tuning: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Lengthen suffixes by tokens that the victim would go on with; keep the best ones.

    Such suffixes read as text does, so that filters of perplexity see little of them.

    Args:
        size: tokens of a suffix.
        beams: suffixes that are kept at each length.
        branches: tokens that each of them is lengthened by, drawn by the victim's own law.
        universal: one suffix for all questions, searched on questions with public answers; else one
            for each.
        tuning: questions with public answers that the one suffix is searched on.

    Raises:
        UsageError: no suffix comes back from its text, or there are no questions with public
            answers to search one suffix for all on.
    """
    brief, tried = view.brief, Tried(view)
    questions = [str(question) for question in brief.question.x]
    if universal:
        search = SuffixSearch(view, universal_aims(view, tuning))
        # From the deal's salt: all rounds find the same, and ask what was answered already.
        shared = np.random.default_rng([view.salt, 2402])
        suffix = _grown(search, shared, size, beams, branches)
        look(tried, range(len(questions)), [search.text(suffix)] * len(questions))
        return Outcome(asset=tried.loot())
    for i, aim in enumerate(aims(view, questions, brief.openings)):
        search = SuffixSearch(view, (aim,))
        look(tried, [i], [search.text(_grown(search, rng, size, beams, branches))])
    return Outcome(asset=tried.loot())


def _grown(
    search: SuffixSearch, rng: Rng, size: int, beams: int, branches: int
) -> NDArray[np.int64]:
    """Return the best suffix of all lengths up to ``size``."""
    model, best = search.view.model, (np.inf, np.zeros(0, np.int64))
    grown = np.zeros((1, 0), np.int64)
    for _ in range(size):
        # With several questions the next token is drawn after one of them, as published.
        before = search.aims[int(rng.integers(len(search.aims)))].before
        rows = np.concatenate([np.repeat(before[None], len(grown), 0), grown], 1)
        law = probabilities(model.calls["query"](rows), model.output, model.classes)
        law = law[:, search.tokens]
        count = branches if len(grown) > 1 else beams * branches
        picks = np.concatenate([_drawn(row, count, rng) for row in law])
        stems = np.repeat(grown, len(picks) // len(grown), 0)
        longer = np.concatenate([stems, search.tokens[picks][:, None]], 1)
        longer = np.unique(longer, axis=0)
        # A token may merge with the one after it: what does not come back now may never.
        longer = longer[search.come_back(longer)]
        if not len(longer):
            break
        losses = search.losses(longer, rng)
        order = np.argsort(losses, kind="stable")[:beams]
        grown = longer[order]
        best = min(best, (float(losses[order[0]]), grown[0]), key=lambda pair: pair[0])
    if not len(best[1]):
        raise UsageError(
            f"suffixes for {model.name!r} must come back from their text, got none that does"
        )
    return best[1]


def _drawn(law: NDArray[np.float64], count: int, rng: Rng) -> NDArray[np.int64]:
    """Return ``count`` different tokens drawn by a law, or all that have a chance."""
    # Gumbel noise: the largest of log p + noise are draws without replacement.
    with np.errstate(divide="ignore"):
        keys = np.log(np.asarray(law, np.float64)) + rng.gumbel(size=len(law))
    return np.argsort(-keys, kind="stable")[: min(count, len(law))]
