"""Memorization: can a planted secret be read from a model?

In each round the auditor writes canaries ("Ada Lark keeps the number 471"; a picture with a code in
the corner; a clip with two tones; a pair with one of a hundred captions) with random secrets, puts
several copies of each into the training data, and trains a victim. The attacker knows everything
but the secrets and scores every candidate; the judge computes the rank of the true one. Exposure,
log2 R − log2 rank (arXiv:1802.08232), is the surprisal of that rank if nothing leaks, so that the
auditor's random choice certifies the bits.

Memorization is not derived from membership, nor membership from memorization: that the outputs of
models with and without a record are indistinguishable neither implies that the record cannot be
extracted, nor follows from it (arXiv:2604.18697).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import (
    ALL,
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Slot,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games.judged_model import judged
from hartley.games.memorization import canaries as book
from hartley.games.memorization import deployed, oracle_models
from hartley.games.memorization.judging import judge
from hartley.games.memorization.verbatim import Verified
from hartley.games.planted_canaries import PlantedCanaries
from hartley.games.texts_as_tokens import in_tokens
from hartley.kit.language import text
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 4
"""Default number of victims."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that memorises every training record with copies."""
    return trainable(oracle_models.scene(modality, rng, remembers=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model whose answers do not depend on its training records."""
    return trainable(oracle_models.scene(modality, rng, remembers=False), epochs=0)


def targets_of(scene: Scene, count: int) -> Data:
    """Return the canaries that a chain is aimed at, without their secrets: ``count`` at most.

    Raises:
        UsageError: the scene has no canaries.
    """
    if "canaries" not in scene.extra:
        raise UsageError(f"scene {scene.name!r} must have canaries for a chain, got none")
    canaries = scene.extra["canaries"]
    return replace(canaries, name="targets", x=canaries.x[:count], role="targets")


@dataclass(frozen=True, slots=True)
class MemorizationBrief:
    """What an attacker of memorization knows.

    Attributes:
        question: m canaries without their secrets; its facts say how a secret is written (see
            ``games.memorization.canaries``). The answer is a score for each candidate of each.
        candidates: number of candidates of each secret.
        repeats: copies of a canary in the training data, at most.
        length: tokens of a secret in a text; 0 for other records.
        symbols: (10,) the token of each digit of a secret in a text; empty for other records.
        public: records of the attacker's own, or None.
        ranked: texts that the victim wrote, in the order in which another attack put them, or None.
    """

    question: Data
    candidates: int
    repeats: int
    length: int
    symbols: NDArray[np.int64]
    public: Data | None
    ranked: Data | None = None


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="planted secret",
    live=live,
    dead=dead,
    brief=MemorizationBrief,
    modalities=ALL,
    requires=("model", "canaries", "planting"),
    metrics=("exposure", "extraction_rate"),
    loot="data",
    accepts=(Slot.TRAIN, Slot.SOURCE, Slot.PUBLIC),
    targets=targets_of,
)
def memorization(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0,
    repeats: Annotated[int, Range(0), Stronger.MORE] = 8,
    form: Literal["canaries", "contacts"] = "canaries",
) -> Deal:
    """Train victims on canaries with random secrets; the attacker ranks each secret's candidates.

    Args:
        rounds: number of victims, each with its own secrets; 0 takes the scene's default.
        repeats: copies of each canary in the training data; 0 plants none.
        form: canaries, or contacts (secrets in contact records, language only).

    A deployed model whose owner planted canaries that Hartley drew is one round, with the copies
    that were drawn.

    Raises:
        UsageError: the scene has no canaries of this form.
    """
    scene = in_tokens(scene)
    if form in scene.extra and scene.find(PlantedCanaries) is not None:
        part = scene.part(PlantedCanaries)
        return deployed.deal(scene, rng, rounds, _brief(scene, form, int(part.repeats.max())))
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    if form not in scene.extra:
        raise UsageError(f"scene {scene.name!r} must have {form!r} for memorization, got none")
    rounds = scene.settings.rounds_of("memorization", rounds, ROUNDS)
    canaries = scene.extra[form]
    candidates = book.candidates(canaries)
    truth = rng.integers(0, candidates, (rounds, len(canaries)))
    written = [book.write(canaries, secrets) for secrets in truth]
    training_data, include = _with_canaries(scene.train, written, repeats, canaries.y)
    victims = scene.victims(training_data, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    brief = _brief(scene, form, repeats)
    models = [victims.member(k) for k in range(rounds)]
    verify: list[Verified] = []
    if canaries.modality is Modality.LANGUAGE:
        untrained = scene.holdout.x if scene.holdout is not None else training_data.x[:0]
        parts = zip(models, truth, include, strict=True)
        verify = [
            Verified(judged(model), canaries, s, training_data.x[rows], untrained)
            for model, s, rows in parts
        ]
    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=model,
                    brief=brief,
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=truth[k],
                alphabet=candidates,
            )
            for k, model in enumerate(models)
        ),
        judge=partial(judge, verify=verify),
    )


def _brief(scene: Scene, form: str, repeats: int) -> MemorizationBrief:
    canaries = scene.extra[form]
    return MemorizationBrief(
        question=canaries,
        candidates=book.candidates(canaries),
        repeats=repeats,
        length=int(canaries.facts.get("length", 0)),
        symbols=np.asarray(canaries.facts.get("symbols", ()), dtype=np.int64),
        public=scene.extra.get("public"),
    )


def _with_canaries(
    train: Data,
    written: Sequence[NDArray[Any]],
    repeats: int,
    labels: NDArray[Any] | None = None,
) -> tuple[Data, NDArray[np.bool_]]:
    """Return the owner's records with all canaries, and which victim is trained on which.

    Args:
        train: the owner's records, which every victim is trained on.
        written: for each victim, its canaries (m, …) with their secrets.
        repeats: copies of each canary.
        labels: (m,) of the canaries, or None.
    """
    copies = [np.repeat(rows, repeats, axis=0) for rows in written]
    rounds, owned, per_victim = len(written), len(train), sum(map(len, copies)) // len(written)
    include = np.zeros((rounds, owned + rounds * per_victim), dtype=bool)
    include[:, :owned] = True
    for k in range(rounds):
        include[k, owned + k * per_victim : owned + (k + 1) * per_victim] = True
    if train.modality is Modality.LANGUAGE:
        rows = [row for block in (train.x, *copies) for row in block.tolist()]
        x: NDArray[Any] = text.pad([[i for i in row if i >= 0] for row in rows])
    else:
        x = np.concatenate([train.x, *copies])
    y = None
    if train.y is not None and labels is not None:
        y = np.concatenate([train.y, np.tile(np.repeat(labels, repeats), rounds)])
    return replace(train, name="records with canaries", x=x, y=y), include
