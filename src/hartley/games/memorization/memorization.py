"""Memorization: can a planted secret be read back out of a model?

The auditor writes canaries ("Ada Lark keeps the number 471"; a picture with a corner code; a clip
with two tones; a pair whose caption is one of a hundred) with secrets drawn by coin, puts each some
times into the training data, and trains a victim, once a round. The attacker knows everything but
the secrets; it scores every candidate, and the judge looks up the place of the true one. Exposure,
log2 R − log2 rank (arXiv:1802.08232), is then the surprisal of that place when nothing leaks, so
that the bits are certified by the auditor's own coin.

What is measured here is never derived from membership, nor the other way round: that outputs of
models with and without a record cannot be told apart neither implies that it cannot be extracted,
nor follows from it (arXiv:2604.18697).
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
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games.memorization import canaries as book
from hartley.games.memorization import oracle_models
from hartley.games.memorization.judging import judge
from hartley.games.memorization.verbatim import Verified
from hartley.games.texts_as_tokens import in_tokens
from hartley.kit.language import text
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 4
"""Victims, where neither the player nor the scene says how many."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that knows by heart every record that it read more than once."""
    return trainable(oracle_models.wire(modality, rng, remembers=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model that answers the same whatever it was trained on."""
    return trainable(oracle_models.wire(modality, rng, remembers=False), epochs=0)


@dataclass(frozen=True, slots=True)
class MemorizationBrief:
    """What an attacker of memorization knows.

    Attributes:
        question: (m) canaries without their secrets; its facts say how a secret is written (see
            ``games.memorization.canaries``). A score for each candidate answers each.
        candidates: of each secret.
        repeats: how often each canary is in the training data.
        length: tokens of a secret in a text; 0 for other records.
        symbols: (10,) the token of each digit of a secret in a text; empty for other records.
        public: records of the attacker's own, or None.
    """

    question: Data
    candidates: int
    repeats: int
    length: int
    symbols: NDArray[np.int64]
    public: Data | None


@game(
    flow=Flow.MEMORY,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="planted secret",
    live=live,
    dead=dead,
    brief=MemorizationBrief,
    modalities=ALL,
    requires=("fit", "model", "train", "canaries"),
    metrics=("exposure", "extraction_rate"),
    loot="data",
)
def memorization(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(0, 10_000)] = 0,
    repeats: Annotated[int, Range(0)] = 8,
    form: Literal["canaries", "contacts"] = "canaries",
) -> Deal:
    """Deal a secret to every canary and train a victim on them, once a round.

    Args:
        rounds: victims to train, each on its own secrets; 0 leaves it to the scene.
        repeats: how often each canary stands in the training data; 0 plants none of them.
        form: which canaries: canaries, or contacts (written as contact records, language only).

    Raises:
        UsageError: canaries that the scene does not have.
    """
    scene = in_tokens(scene)
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    if form not in scene.extra:
        raise UsageError(f"the scene {scene.name} has no {form!r} to plant")
    rounds = scene.settings.rounds_of("memorization", rounds, ROUNDS)
    canaries = scene.extra[form]
    candidates = book.candidates(canaries)
    truth = rng.integers(0, candidates, (rounds, len(canaries)))
    written = [book.write(canaries, secrets) for secrets in truth]
    lesson, include = _lesson(scene.train, written, repeats, canaries.y)
    victims = scene.victims(lesson, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    brief = MemorizationBrief(
        question=canaries,
        candidates=candidates,
        repeats=repeats,
        length=int(canaries.facts.get("length", 0)),
        symbols=np.asarray(canaries.facts.get("symbols", ()), dtype=np.int64),
        public=scene.extra.get("public"),
    )
    models = [victims.member(k) for k in range(rounds)]
    verify: list[Verified] = []
    if canaries.modality is Modality.LANGUAGE:
        never = scene.holdout.x if scene.holdout is not None else lesson.x[:0]
        each = zip(models, truth, include, strict=True)
        verify = [Verified(one, canaries, s, lesson.x[mine], never) for one, s, mine in each]
    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=one,
                    brief=brief,
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=truth[k],
                alphabet=candidates,
            )
            for k, one in enumerate(models)
        ),
        judge=partial(judge, verify=verify),
    )


def _lesson(
    train: Data,
    written: Sequence[NDArray[Any]],
    repeats: int,
    labels: NDArray[Any] | None = None,
) -> tuple[Data, NDArray[np.bool_]]:
    """The owner's records for all, and to each victim its own canaries, each some times."""
    copies = [np.repeat(rows, repeats, axis=0) for rows in written]
    rounds, real, mine = len(written), len(train), sum(map(len, copies)) // len(written)
    include = np.zeros((rounds, real + rounds * mine), dtype=bool)
    include[:, :real] = True
    for k in range(rounds):
        include[k, real + k * mine : real + (k + 1) * mine] = True
    if train.modality is Modality.LANGUAGE:
        rows = [row for block in (train.x, *copies) for row in block.tolist()]
        x: NDArray[Any] = text.pad([[i for i in row if i >= 0] for row in rows])
    else:
        x = np.concatenate([train.x, *copies])
    y = None
    if train.y is not None and labels is not None:
        y = np.concatenate([train.y, np.tile(np.repeat(labels, repeats), rounds)])
    return replace(train, name="records with canaries", x=x, y=y), include
