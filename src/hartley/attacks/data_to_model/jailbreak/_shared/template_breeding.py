"""Templates that cross over and mutate, the fittest most often (arXiv:2310.04451)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.suffix_tokens import likelihoods
from hartley.attacks.data_to_model.jailbreak._shared.template_mutations import (
    Seed,
    around,
    mutated,
)
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import fitting
from hartley.attacks.data_to_model.jailbreak._shared.wordings import FORMS, FRAMES
from hartley.core import View

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.games.jailbreak.jailbreak import JailbreakBrief

ELITE = 0.1
"""Share of a generation that stays as it is, as published."""

CROSSED, MUTATED = 0.5, 0.5
"""Published chance of a cross-over, and that of a mutation of each template."""


def bred(
    view: View[JailbreakBrief],
    aimed_at: tuple[list[str], list[str]],
    rng: Rng,
    generations: int,
    population: int,
) -> list[Seed]:
    """Return the last generation of templates, the fittest first.

    Args:
        view: of the attack.
        aimed_at: questions, and how their answers should begin.
        rng: of parents, cross-overs and mutations.
        generations: how often the population is bred.
        population: templates of a generation.
    """
    questions, openings = aimed_at
    plain = [Seed(*around(frame, form)) for frame in FRAMES for form in FORMS[:-1]]
    pool = [plain[i] for i in rng.choice(len(plain), population, replace=population > len(plain))]
    for generation in range(generations + 1):
        for seed in pool:
            texts = [seed.of(question) for question in questions]
            if not seed.chosen:
                fits = all(fitting(view, texts))
                seed.reward = likelihoods(view, texts, openings).mean() if fits else -np.inf
                seed.chosen = 1
        pool.sort(key=lambda seed: -seed.reward)
        if generation == generations:
            break
        fit = np.array([seed.reward for seed in pool])
        chances = np.exp(np.maximum(fit - fit.max(), -700))
        parents = rng.choice(population, population, p=chances / chances.sum())
        elite = pool[: max(1, int(ELITE * population))]
        pool = elite + [_child(pool, int(k), rng) for k in parents[len(elite) :]]
    return pool


def _child(pool: list[Seed], k: int, rng: Rng) -> Seed:
    """Return a cross-over of a template with another one, mutated by chance."""
    one, other = pool[k], pool[int(rng.integers(len(pool)))]
    child = Seed(one.before, one.after)
    if rng.random() < CROSSED:
        child = Seed(_crossed(one.before, other.before, rng), _crossed(one.after, other.after, rng))
    return mutated(child, pool, rng) if rng.random() < MUTATED else child


def _crossed(one: tuple[str, ...], other: tuple[str, ...], rng: Rng) -> tuple[str, ...]:
    """Return sentences of one up to a random place, then those of the other."""
    place = int(rng.integers(max(len(one), len(other)) + 1))
    return (*one[:place], *other[place:])
