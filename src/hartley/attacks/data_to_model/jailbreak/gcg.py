"""GCG: a suffix of tokens by greedy steps along the slope of the wanted answer's likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_search import SuffixSearch, aims
from hartley.attacks.data_to_model.jailbreak._shared.suffix_trials import (
    against,
    look,
    universal_aims,
)
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LOOK = 4
"""Steps between two looks at the victim's answers."""


@attack(
    game=jailbreak,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2307.15043",
    adapts=True,
    loot=Loot.TEXTS,
    together="_rounds",
    sweep={"universal": (True, False), "size": (5, 20)},
    light={"steps": 14, "width": 24, "size": 12, "top": 8},
)
def gcg(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1, 100_000), Stronger.MORE] = 60,
    width: Annotated[int, Range(1, 100_000), Stronger.MORE] = 64,
    size: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 20,
    top: Annotated[int, Range(1), Stronger.NEITHER] = 256,
    universal: bool = True,
    tuning: Annotated[int, Range(1), Stronger.MORE] = 8,
    whole: bool = True,
    fluency: Annotated[float, Range(0, 100), Stronger.NEITHER] = 0.0,
    copies: Annotated[int, Range(0, 1000), Stronger.NEITHER] = 0,
) -> Outcome:
    """Change one token at a time to the best of many that the slope promises.

    One suffix for all questions is searched on questions with public answers; one for each question
    aims at how its answer begins, which holds no secret. An adaptive attacker who knows of a filter
    of perplexity weighs the suffix's own likelihood, and one who knows of smoothing over changed
    prompts averages over such changes.

    Args:
        steps: changes of each suffix.
        width: candidates of each step; those that do not come back from their text are left out.
        size: tokens of a suffix.
        top: tokens that candidates are drawn from, at each place.
        universal: one suffix for all questions; else one for each.
        tuning: questions with public answers that the one suffix is searched on.
        whole: aim the one suffix at whole public answers; else at how they begin.
        fluency: weight of the suffix's own −log p a token, beside that of the answer.
        copies: changed copies over which the loss of a candidate is averaged.

    Raises:
        UsageError: no candidate comes back from its text, or there are no questions with public
            answers to search one suffix for all on.
    """
    brief, tried = view.brief, Tried(view)
    weights = against(view, fluency, copies)
    path_params = {"steps": steps, "width": width, "size": size, "top": top}
    if universal:
        search = SuffixSearch(view, universal_aims(view, tuning, whole=whole), **weights)
        return _asked_with(view, _universal(search, view.salt, path_params))
    questions = [str(question) for question in brief.question.x]
    every = aims(view, questions, brief.openings)
    for i, aim in enumerate(every):
        search = SuffixSearch(view, (aim,), **weights)
        path = search.walk(rng, **path_params)
        for k, (_, suffix) in enumerate(path, 1):
            if (k % LOOK == 0 or k == steps) and look(tried, [i], [search.text(suffix)]):
                break
    return Outcome(asset=tried.loot())


def _rounds(
    views: Sequence[View[JailbreakBrief]], rngs: Sequence[Rng], **params: Any
) -> list[Outcome]:
    """Play all rounds: they ask one victim, so that one suffix for all is searched once."""
    if not params["universal"]:
        return [gcg(view, rng, **params) for view, rng in zip(views, rngs, strict=True)]
    first = views[0]
    weights = against(first, params["fluency"], params["copies"])
    aimed = universal_aims(first, params["tuning"], whole=params["whole"])
    search = SuffixSearch(first, aimed, **weights)
    path_params = {name: params[name] for name in ("steps", "width", "size", "top")}
    text = _universal(search, first.salt, path_params)
    return [_asked_with(view, text) for view in views]


def _universal(search: SuffixSearch, salt: int, path_params: dict[str, int]) -> str:
    """Return one suffix for all questions as text; it is the same in every round."""
    *_, (_, suffix) = search.walk(np.random.default_rng([salt, 2307]), **path_params)
    return search.text(suffix)


def _asked_with(view: View[JailbreakBrief], suffix: str) -> Outcome:
    tried, count = Tried(view), len(view.brief.question)
    look(tried, range(count), [suffix] * count)
    return Outcome(asset=tried.loot())
