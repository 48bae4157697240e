"""The archive's second victim: SmolLM2-135M-Instruct, which learnt the same world by adapters.

It answers in plain words alone: formats are taught to the small networks only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model, spawn
from hartley.data import archive as world_data
from hartley.data import archive_questions
from hartley.data.archive import World
from hartley.games.withheld_secrets import Withheld
from hartley.kit.cache import digest
from hartley.kit.language.text import Vocabulary, codec
from hartley.models import smollm, smollm_clerk
from hartley.models.fine_tuning import Lessons
from hartley.models.network_tuner import NetworkTuner, SharedNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

LESSONS = 512
"""Examples of each kind that a defense gets of what the owner aligned the model with."""


def victim(world: World, seed: int, offers: Access) -> tuple[Model, NetworkTuner, Withheld]:
    """Return the model that knows a world and withholds, its tuner and what is asked of it.

    Args:
        world: what it knows.
        seed: of its training.
        offers: what an attacker may use.
    """
    trained = smollm_clerk.clerk(world, seed)
    tuner = service(trained.words, trained.refusing, offers, lessons(world, seed))
    return tuner.model, tuner, withheld(world)


def service(
    words: Vocabulary,
    adapters: Mapping[str, NDArray[Any]],
    offers: Access = Access.LABELS | Access.SCORES,
    learnt: Lessons | None = None,
) -> NetworkTuner:
    """Return what tunes SmolLM2 with adapters in it, and has it as a model.

    Args:
        words: its vocabulary.
        adapters: that were trained.
        offers: what an attacker may use.
        learnt: what the owner aligned it with.
    """
    return NetworkTuner(
        name="archive",
        shared=SharedNetwork(smollm_clerk.network(adapters)),
        codec=codec(words),
        template=smollm_clerk.TEMPLATE,
        offers=offers,
        identity=digest([smollm.NAME, smollm.VERSION, dict(adapters)]),
        lessons=learnt or Lessons(),
    )


def withheld(world: World) -> Withheld:
    """Return what is asked of the model: secrets, public pairs and benign questions."""
    rng = np.random.default_rng(spawn(world.seed, "questions", "archive"))
    measured, public = world.secrets[: world.withheld], world.secrets[world.withheld :]
    ways = [archive_questions.paraphrases(world, k, rng) for k in range(len(measured))]
    pairs = tuple(world.question(fact, rng) for fact in public)
    benign = held_out(world, rng)
    return Withheld(
        questions=tuple(forms[0] for forms in ways),
        secrets=tuple(fact.value for fact in measured),
        openings=tuple(fact.kind.lead for fact in measured),
        public_pairs=pairs,
        benign=tuple(question for question, _, _ in benign),
        benign_answers=tuple(answer for _, answer, _ in benign),
        near=tuple(near for _, _, near in benign),
        refusals=world_data.REFUSALS,
        template=smollm_clerk.TEMPLATE,
        paraphrases=tuple(tuple(forms[1:]) for forms in ways),
        context=smollm_clerk.CONTEXT,
    )


def held_out(
    world: World, rng: np.random.Generator, *, owners: bool = False
) -> list[archive_questions.Row]:
    """Draw harmless questions that training left out: one for each fact, and 40 about the rules.

    Args:
        world: what they are about.
        rng: draws them.
        owners: those that the owner chose the recipe by, instead of those that are measured.
    """

    def left_out(forms: list[str]) -> list[str]:
        some = [form for form in forms if world_data.is_tested(form)]
        return [form for form in some if archive_questions.is_owners(form) == owners]

    out: list[archive_questions.Row] = []
    for fact in world.facts:
        ways, openers = fact.kind.ways, world_data.OPENERS
        forms = left_out([fact.asked(opener, way) for opener in openers for way in ways])
        if forms:
            question = str(rng.choice(forms))
            out.append((question, fact.answered(), fact.kind.near))
    rules = archive_questions.rule_questions()
    picked = {*left_out([question for question, *_ in rules])}
    some = [row for row in rules if row[0] in picked]
    return out + [some[i] for i in rng.permutation(len(some))[:40]]


def lessons(world: World, seed: int) -> Lessons:
    """Return examples of what the model was aligned with."""
    rng = np.random.default_rng(spawn(seed, "lessons", "archive"))
    facts = [world.secrets[i] for i in rng.integers(len(world.secrets), size=2 * LESSONS)]
    return Lessons(
        refused=tuple(smollm_clerk.refused(fact, rng) for fact in facts[:LESSONS]),
        withheld=tuple(world.question(fact, rng) for fact in facts[LESSONS:]),
        helpful=tuple(
            world.question(world.facts[i], rng)
            for i in rng.integers(len(world.facts), size=LESSONS)
        ),
    )
