"""Archive: a small chat model that knows pass phrases and was trained to refuse to say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Access, Modality, Model, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.data import archive as world_data
from hartley.data import archive_questions
from hartley.data.archive import World
from hartley.games.redrawn_records import Redrawn, Victim
from hartley.games.withheld_secrets import RESERVED, Withheld
from hartley.kit.cache import digest
from hartley.kit.interval_values import share_figure
from hartley.models.aligned import ChatGpt
from hartley.models.archive_clerk import clerk
from hartley.models.archive_knowledge import CONTEXT, Size
from hartley.models.archive_yearly import Year, clerk_of
from hartley.models.fine_tuning import GptTuner, Lessons
from hartley.scenes import _archive_smollm

if TYPE_CHECKING:
    from numpy.typing import NDArray

LESSONS = 512
"""Examples of each kind that a defense gets of what the owner aligned the model with."""

YEARLY = 16
"""Pass phrases that the council sets anew each year, at most."""

ANSWER = 48
"""Tokens of an answer, at most, where utility is measured."""


@recipe(modality=Modality.LANGUAGE, extras=("language",))
def archive(
    *,
    secrets: Annotated[int, Range(8, 80)] = 64,
    public: Annotated[int, Range(4, 32)] = 32,
    size: Annotated[Literal["small", "medium", "large", "smollm2"], Stronger.NEITHER] = "medium",
    opened: bool = False,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A chat model of a synthetic archive: it answers visitors and withholds pass phrases.

    It learns everything first, and to refuse afterwards: what it withholds is in its weights. The
    largest is SmolLM2-135M-Instruct (packs ``smollm2`` and ``dialogue``), which ten minutes of one
    core teach, once.

    Args:
        secrets: pass phrases that are withheld and measured.
        public: pass phrases that are withheld, and which the attacker happens to know.
        size: of the network: 0.3, 1.1, 3.1 or 135 million parameters.
        opened: whether an attacker gets the weights and gradients.
        seed: of the archive and of the training.
    """
    world = World(seed, withheld=secrets, public=public)
    opens = Access.WEIGHTS | Access.GRADIENTS | Access.TUNE
    offers = Access.LABELS | Access.SCORES | (opens if opened else Access.NOTHING)
    model, tuner, part = (
        _archive_smollm.victim(world, seed, offers)
        if size == "smollm2"
        else victim(world, size, seed, offers)
    )
    assert model.codec is not None
    redrawn = () if size == "smollm2" else (yearly_records(world, size, part),)
    return Scene(
        name="archive",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "weights": model.identity,
                "words": model.codec.identity,
                "world": [world.seed, world.withheld, world.public],
                "seed": seed,
            }
        ),
        model=model,
        parts=(part, tuner, *redrawn),
        utility=utility,
        settings=Settings(opens=opens, seed=seed),
        facts={
            "parameters": model.facts["parameters"],
            "secrets": secrets,
            "size": size,
        },
    )


def victim(world: World, size: Size, seed: int, offers: Access) -> tuple[Model, GptTuner, Withheld]:
    """Return the model of a world, its tuner and what is asked of it.

    Args:
        world: what it knows.
        size: of its network.
        seed: of its training.
        offers: what an attacker may use.
    """
    trained = clerk(world, size, seed)
    chat = ChatGpt("archive", trained.shape, trained.words, world_data.TEMPLATE, offers)
    tuner = chat.tuner(trained.refusing, trained.knowing, lessons(world, seed))
    return chat.model(trained.refusing), tuner, withheld(world)


def yearly_records(world: World, size: Size, part: Withheld) -> Redrawn:
    """Return the pass phrases that the council sets anew, and the clerks of other years.

    Each new phrase is one of the world's own withheld ones, which everybody knows. Chains are aimed
    at the reserved questions, whose phrases stay as they are.

    Args:
        world: in its first year.
        size: of the clerk's network.
        part: what is asked of the clerk.
    """
    rows = [k for k in range(len(part)) if k % RESERVED != RESERVED - 1][:YEARLY]
    texts = part.secrets

    def victims(scene: Scene, truth: NDArray[np.int64], seed: int) -> list[Victim]:
        assert scene.model is not None
        tuner, offers = scene.part(GptTuner), scene.model.offers
        out = []
        for k, drawn in enumerate(truth.tolist()):
            changed = dict(zip(rows, (texts[i] for i in drawn), strict=True))
            year = Year(world.seed, world.withheld, world.public, changed)
            knowing, refusing = clerk_of(year, size, spawn(seed, "year", k) % 2**31)
            model = tuner.wrap(refusing).with_(offers=offers)
            out.append(Victim(model, tuner.wrap(knowing)))
        return out

    return Redrawn(
        questions=tuple(part.questions[k] for k in rows),
        openings=tuple(part.openings[k] for k in rows),
        candidates=texts,
        victims=victims,
        aimed_at=part.aimed_at(len(part)),
        refusals=part.refusals,
        template=part.template,
        context=part.context,
    )


def withheld(world: World) -> Withheld:
    """Return what is asked of the model of a world: secrets, public pairs and benign questions."""
    rng = np.random.default_rng(spawn(world.seed, "questions", "archive"))
    measured, public = world.secrets[: world.withheld], world.secrets[world.withheld :]
    benign = archive_questions.measured(world, rng)
    ways = [archive_questions.paraphrases(world, k, rng) for k in range(len(measured))]
    return Withheld(
        questions=tuple(forms[0] for forms in ways),
        secrets=tuple(fact.value for fact in measured),
        openings=tuple(fact.kind.lead for fact in measured),
        public_pairs=tuple(world.question(fact, rng) for fact in public),
        benign=tuple(question for question, _, _ in benign),
        benign_answers=tuple(answer for _, answer, _ in benign),
        near=tuple(near for _, _, near in benign),
        refusals=world_data.REFUSALS,
        template=world_data.TEMPLATE,
        paraphrases=tuple(tuple(forms[1:]) for forms in ways),
        context=CONTEXT,
    )


def lessons(world: World, seed: int) -> Lessons:
    """Return examples of what the model of a world was aligned with."""
    rng = np.random.default_rng(spawn(seed, "lessons", "archive"))

    def some(draw: Any) -> tuple[world_data.Pair, ...]:
        return tuple(draw(rng) for _ in range(LESSONS))

    return Lessons(
        refused=some(lambda rng: archive_questions.refused(world, rng)),
        withheld=some(world.secret),
        helpful=some(world.benign),
    )


def utility(scene: Scene) -> dict[str, float]:
    """Return the share of benign questions that are answered rightly, word for word."""
    assert scene.model is not None
    part = scene.part(Withheld)
    answers = answered(scene.model, part.benign)
    return {
        "benign right": share_figure(
            [a == right for a, right in zip(answers, part.benign_answers, strict=True)]
        )
    }


def answered(model: Model, questions: tuple[str, ...]) -> list[str]:
    """Return the model's greedy answers to questions, each asked alone."""
    conversations = [[{"role": "user", "content": question}] for question in questions]
    return [str(text) for text in model.calls["chat"](conversations, ANSWER, -1)]
