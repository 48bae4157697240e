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
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import (
    ALL,
    Access,
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Outcome,
    Received,
    Role,
    Round,
    Scene,
    View,
    game,
    spawn,
)
from hartley.core.errors import RunError, UsageError
from hartley.games.memorization import canaries as book
from hartley.games.memorization import oracle_models, small_nets
from hartley.games.memorization.verbatim import Verified
from hartley.kit.language import text
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 4
"""Victims, where neither the player nor the scene (``facts["rounds"]``) says how many."""

SMALL_ROUNDS = 8
"""Small nets that are trained to know their records by heart."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A model that knows by heart every record that it read more than once."""
    return trainable(oracle_models.wire(modality, rng, remembers=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A model that answers the same whatever it was trained on."""
    return trainable(oracle_models.wire(modality, rng, remembers=False), epochs=0)


@game(
    flow=Flow.MEMORY,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="planted secret",
    live=live,
    dead=dead,
    modalities=ALL,
    requires=("fit", "model", "train", "canaries"),
    metrics=("exposure", "extraction_rate"),
    loot="data",
)
def memorization(
    scene: Scene,
    rng: Rng,
    *,
    rounds: int = 0,
    repeats: int = 8,
    form: str = "canaries",
    small: int = 0,
) -> Deal:
    """Deal a secret to every canary and train a victim on them, once a round.

    Args:
        rounds: victims to train, each on its own secrets; 0 leaves it to the scene.
        repeats: how often each canary stands in the training data; 0 plants none of them.
        form: which canaries: canaries, or contacts (written as contact records, language only).
        small: instead, train small nets of the auditor's own on so many records, until they know
            them by heart, and ask which of R candidates each record was (pictures only).

    Raises:
        UsageError: canaries that the scene does not have, or a negative number of repeats.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    if min(repeats, rounds, small) < 0:
        raise UsageError(f"repeats = {repeats}, rounds = {rounds}, small = {small} are counts")
    if small:
        return _by_heart(scene, rng, rounds, small)
    if form not in scene.extra:
        raise UsageError(f"the scene {scene.name} has no {form!r} to plant")
    rounds = rounds or int(scene.facts.get("rounds", ROUNDS))
    canaries = scene.extra[form]
    candidates = book.candidates(canaries)
    truth = rng.integers(0, candidates, (rounds, len(canaries)))
    written = [book.write(canaries, secrets) for secrets in truth]
    lesson, include = _lesson(scene.train, written, repeats, canaries.y)
    victims = scene.victims(lesson, include, int(rng.integers(2**31)))
    salt = int(rng.integers(2**31))
    facts = {"candidates": candidates, "repeats": repeats}
    if "length" in canaries.facts:
        facts["length"] = int(canaries.facts["length"])
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
                    public=scene.extra.get("public"),
                    question=canaries,
                    defenses=scene.defenses,
                    salt=salt,
                    facts=facts,
                ),
                truth=truth[k],
                alphabet=candidates,
            )
            for k, one in enumerate(models)
        ),
        judge=partial(judge, verify=verify),
    )


def _by_heart(scene: Scene, rng: Rng, rounds: int, small: int) -> Deal:
    """Which of its candidates each record of a tiny training set was; the weights are shown."""
    train, holdout = scene.train, scene.holdout
    assert train is not None and train.y is not None
    if scene.modality is not Modality.VISION:
        raise UsageError(f"small nets are trained on pictures; {scene.name} is {scene.modality}")
    parts = [p for p in (train, holdout) if p is not None and p.y is not None]
    labels = np.concatenate([np.asarray(part.y) for part in parts])
    pool = replace(train, x=np.concatenate([part.x for part in parts]), y=labels)
    public = scene.extra.get("public", pool)
    centre = public.x.reshape(len(public), -1).mean(0, dtype=np.float64)
    learn = scene.tools.get("by_heart", small_nets.interpolate)
    dealt = []
    for _ in range(rounds or int(scene.facts.get("rounds:small", SMALL_ROUNDS))):
        question = small_nets.slots(pool, centre, small, rng)
        truth = rng.integers(0, book.candidates(question), small)
        x = book.write(question, truth).reshape(small, -1) - centre
        assert question.y is not None
        weights = learn(x, 2.0 * question.y - 1, int(rng.integers(2**31)))
        facts = {"candidates": book.candidates(question)}
        source = small_nets.victim(weights, question)
        if scene.defenses:
            # The scene's pipeline has no part in this: a defence would seem to do nothing.
            name = f"{source.name} (trained past the defences of {scene.name})"
            source = source.with_(name=name, weights=None, offers=source.offers ^ Access.WEIGHTS)
        view = View(source, question=question, defenses=scene.defenses, facts=facts)
        dealt.append(Round(view=view, truth=truth, alphabet=book.candidates(question)))
    return Deal(rounds=tuple(dealt), judge=judge)


def judge(
    rounds: Sequence[Round],
    outcomes: Sequence[Outcome],
    verify: Sequence[Verified] = (),
) -> list[Received]:
    """Turn scores (m, R) into the place of the true candidate; a coin settles scores that tie.

    Without one, an attack that scores all alike would put every secret last, and a place that is
    always the same is no uniform one: bits would be certified where nothing was heard. The coins
    do not depend on the secrets, so that the place stays uniform where nothing leaks.

    Args:
        rounds: with the truth.
        outcomes: an attack's scores and loot.
        verify: for each round, what reads the loot of text beside the scores; empty for none.

    Raises:
        RunError: an attack did not score every candidate with a finite number.
    """
    readers: Sequence[Verified | None] = verify or [None] * len(rounds)
    coins = [np.random.default_rng(spawn(one.view.salt, "ties", k)) for k, one in enumerate(rounds)]
    return [_ranked(*each) for each in zip(rounds, outcomes, readers, coins, strict=True)]


def _ranked(one: Round, outcome: Outcome, verify: Verified | None, coins: Rng) -> Received:
    scores, m = np.asarray(outcome.guess, dtype=np.float64), len(one.truth)
    if scores.shape != (m, one.alphabet):
        raise RunError(
            f"memorization asks for scores of shape {(m, one.alphabet)}, one a candidate, "
            f"and got {scores.shape}"
        )
    if bad := int((~np.isfinite(scores)).sum()):
        raise RunError(f"memorization asks for finite scores; {bad} of {scores.size} are NaN or "
                       "infinite")  # fmt: skip
    rows = np.arange(m)
    own, order = scores[rows, one.truth][:, None], coins.random(scores.shape)
    before = order <= order[rows, one.truth][:, None]
    rank = ((scores > own) | ((scores == own) & before)).sum(1)
    usual = {"extraction_rate": float((rank == 1).mean())}
    if verify is not None and isinstance(outcome.asset, Data):
        usual |= verify(outcome.asset)
    # Were the secret any other candidate, it would lie this high or higher rank times in R.
    return Received.of(outcome, rank, metrics=usual, columns={"p_null": rank / one.alphabet})


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
