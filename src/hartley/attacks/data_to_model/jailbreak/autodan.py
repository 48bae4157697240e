"""AutoDAN: readable templates bred by how likely the wanted answer becomes.

The role of AutoDAN (arXiv:2310.04451) without a second language model that rewrites: templates are
sentences around the question, which cross over and mutate, and what is fit is the likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_trials import public_openings
from hartley.attacks.data_to_model.jailbreak._shared.template_breeding import bred
from hartley.attacks.data_to_model.jailbreak._shared.template_mutations import Seed
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried, fitting
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.04451",
    loot=Loot.TEXTS,
    together="_rounds",
    sweep={"universal": (True, False), "population": (16, 48)},
    light={"generations": 4, "population": 16, "tuning": 2},
)
def autodan(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    generations: Annotated[int, Range(1, 10_000), Stronger.MORE] = 10,
    population: Annotated[int, Range(4, 10_000), Stronger.MORE] = 32,
    universal: bool = True,
    tuning: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Breed readable templates by how likely the wanted answer is, then ask with the best ones.

    Args:
        generations: how often the population is bred.
        population: templates of a generation.
        universal: templates for all questions, bred on questions with public answers; else some
            for each question.
        tuning: questions with public answers that they are bred on.

    Raises:
        UsageError: there are no questions with public answers to breed templates for all on.
    """
    if universal:
        return _asked_with(view, _universal(view, generations, population, tuning))
    brief, tried = view.brief, Tried(view)
    questions = [str(question) for question in brief.question.x]
    for i, question in enumerate(questions):
        seeds = bred(view, ([question], [brief.openings[i]]), rng, generations, population)
        for seed in seeds[: brief.tries]:
            _ask(tried, [i] if i in tried.open() else [], seed)
    return Outcome(asset=tried.loot())


def _rounds(
    views: Sequence[View[JailbreakBrief]],
    rngs: Sequence[Rng],
    *,
    universal: bool,
    generations: int,
    population: int,
    tuning: int,
) -> list[Outcome]:
    """Play all rounds: they ask one victim, so that templates for all are bred once."""
    if not universal:
        settings = {"generations": generations, "population": population, "universal": False}
        return [autodan(v, rng, **settings) for v, rng in zip(views, rngs, strict=True)]
    seeds = _universal(views[0], generations, population, tuning)
    return [_asked_with(view, seeds) for view in views]


def _universal(
    view: View[JailbreakBrief], generations: int, population: int, tuning: int
) -> list[Seed]:
    """Return the best templates for all questions; they are the same in every round."""
    rng = np.random.default_rng([view.salt, 2310])
    return bred(view, public_openings(view, tuning), rng, generations, population)


def _asked_with(view: View[JailbreakBrief], seeds: Sequence[Seed]) -> Outcome:
    tried = Tried(view)
    for seed in seeds[: view.brief.tries]:
        _ask(tried, tried.open(), seed)
    return Outcome(asset=tried.loot())


def _ask(tried: Tried, rows: list[int], seed: Seed) -> None:
    """Ask questions in a template, where they fit."""
    texts = [seed.of(str(tried.view.brief.question.x[i])) for i in rows]
    if rows and all(fitting(tried.view, texts)):
        tried.hold(rows, [[text] for text in texts])
