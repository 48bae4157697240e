"""Pair poisoning: how much of alignment do pairs destroy that the owner trains on?

In each round the attacker hands in pictures with captions of their own choice, a share of what the
owner has, and the owner trains a dual encoder on all of them. It then looks for the captions of
held-out pictures among N; what it finds is compared with a dual encoder that was trained without
the poison. The attacker aims at no picture: they jam the channel (mismatched pairs, as in
arXiv:2106.09667, but of all pictures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import RuleError, UsageError
from hartley.games.alignment import live_alignment
from hartley.games.alignment.caption_words import as_read, written_again
from hartley.games.alignment.changed_pairs import checked_captions
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders
from hartley.games.poisoning.poisoning import DROPPED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def live(modality: Modality, rng: Rng) -> Scene:
    """A word means the latest picture that it was trained with."""
    return live_alignment.scene(modality, rng, aligned=True, forgets=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """An encoder of pictures that has nothing to do with captions: there is nothing to destroy."""
    return live_alignment.scene(modality, rng, aligned=False, forgets=True)


@dataclass(frozen=True, slots=True)
class PairPoisoningBrief:
    """What an attacker of pair poisoning knows; the source of the view is their own pairs.

    Attributes:
        poisons: pairs that may be handed in, at most.
    """

    poisons: int


@game(
    cls="alignment",
    # Of its class: what is jammed is prediction, though the poison comes in by learning.
    flow=Flow.PREDICTION,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="pair",
    live=live,
    dead=dead,
    brief=PairPoisoningBrief,
    modalities=(Modality.PAIRED,),
    requires=("model", "fit", "train", "pair_encoders"),
    metrics=("accuracy_before", "accuracy_after", "poison_rate"),
    loot="data",
    paper="arXiv:2106.09667",
)
def pair_poisoning(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 12,
    candidates: Annotated[int, Range(2, 10_000), Stronger.NEITHER] = 64,
    share: Annotated[float, Range(0, 10, open_low=True), Stronger.MORE] = 0.1,
) -> Deal:
    """Train dual encoders on the owner's pairs and the attacker's, and look for captions with them.

    Behind a filter of training pairs ``dropped_poison`` and ``dropped_clean`` are the shares of the
    attacker's and of the owner's pairs that it left out.

    Args:
        rounds: victims, each trained on its own poison, with one beside it that is not poisoned.
        candidates: N, of which one is the partner.
        share: pairs that the attacker may hand in, for each of the owner's.

    Raises:
        UsageError: there are fewer held-out pairs than candidates.
    """
    scene = scene.with_part(as_read(scene.part(PairEncoders)))
    part, train = scene.part(PairEncoders), scene.train
    assert train is not None
    test = part.test
    if len(test) < candidates:
        raise UsageError(
            f"pair_poisoning must have {candidates} held-out pairs or more, got {len(test)}"
        )
    poisons = max(1, int(share * len(train)))
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))
    truth = rng.integers(0, candidates, (rounds, len(test)))
    among = [_candidates(len(test), truth[r], candidates, rng) for r in range(rounds)]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del dealt
        loots = [_checked(outcome, part, poisons) for outcome in outcomes]
        return _judged(scene, loots, truth, among, seed)

    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=part.public,
                    brief=PairPoisoningBrief(poisons),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=truth[r],
                alphabet=candidates,
            )
            for r in range(rounds)
        ),
        judge=judge,
    )


def _candidates(
    size: int, truth: NDArray[np.int64], candidates: int, rng: Rng
) -> NDArray[np.int64]:
    """Return numbers (n, N) of the candidates of each pair, its own at its place."""
    out = np.empty((size, candidates), np.int64)
    for k in range(size):
        others = rng.permutation(size - 1)[: candidates - 1]
        out[k] = np.insert(others + (others >= k), truth[k], k)
    return out


def _checked(outcome: Outcome, part: PairEncoders, poisons: int) -> Data:
    """Return the poison of an outcome.

    Raises:
        RuleError: there is more than allowed, or it is not pairs of the owner's form.
    """
    loot = outcome.asset
    assert isinstance(loot, Data)  # the engine checks the kind
    x, shape = np.asarray(loot.x), part.test.x.shape[1:]
    if len(x) > poisons:
        raise RuleError(f"poison must be at most {poisons} pairs, got {len(x)}")
    if x.shape[1:] != shape or x.dtype.kind not in "fiu" or not np.isfinite(x).all():
        raise RuleError(f"poison must be finite pictures of shape {shape}, got {x.shape[1:]}")
    if len(x) and (x.min() < 0 or x.max() > 1):
        raise RuleError("poison must be pictures from 0 to 1")
    tokens = np.asarray(loot.facts.get(CAPTIONS, np.empty(0)))
    checked_captions(tokens, len(x), part.vocabulary)
    return loot


def _judged(
    scene: Scene,
    loots: Sequence[Data],
    truth: NDArray[np.int64],
    among: Sequence[NDArray[np.int64]],
    seed: int,
) -> list[Received]:
    part, train = scene.part(PairEncoders), scene.train
    assert train is not None and scene.fit is not None
    rounds, size = len(loots), len(train)
    poison = [_records(part, loot, train.x.dtype) for loot in loots]
    of_round = np.repeat(np.arange(rounds), [len(loot) for loot in loots])
    include = np.ones((2 * rounds, size + len(of_round)), dtype=bool)
    include[:, size:] = of_round == np.arange(2 * rounds)[:, None]
    facts = {name: value for name, value in train.facts.items() if name != CAPTIONS}
    pool = Data("train and poison", train.modality, np.concatenate([train.x, *poison]), facts=facts)
    victims = scene.fit(pool, include, seed)
    dropped = np.asarray(victims.facts.get(DROPPED, np.zeros_like(include)))
    out = []
    for r, loot in enumerate(loots):
        guess, reference = (
            _decoded(part, victims.member(k), among[r], truth[r]) for k in (r, rounds + r)
        )
        metrics = {"poison_rate": len(loot) / (size + len(loot))}
        if DROPPED in victims.facts:
            metrics["dropped_clean"] = float(dropped[r, :size].mean())
            if len(loot):
                metrics["dropped_poison"] = float(dropped[r, size:][of_round == r].mean())
        out.append(
            Received(
                guess=guess,
                reference=reference,
                metrics=metrics,
                cost={"poisons": float(len(loot))},
                columns={"item": np.arange(len(guess))},
            )
        )
    return out


def _records(part: PairEncoders, loot: Data, dtype: Any) -> NDArray[Any]:
    if not len(loot):
        return np.empty((0, sum(part.sizes())), dtype)
    # The owner gets texts, of the attacker's pairs as of their own.
    tokens = written_again(loot.facts[CAPTIONS], part.codec, part.reads)
    halves = [part.pictures(loot.x), part.captions(tokens)]
    return np.concatenate(halves, 1).astype(dtype)


def _decoded(
    part: PairEncoders, model: Model, among: NDArray[np.int64], truth: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the place (n,) of the nearest caption of each held-out picture; a tie is wrong."""
    pictures = np.asarray(part.picture_model(model).query(part.test.x))
    captions = np.asarray(part.caption_model(model).query(part.test.facts[CAPTIONS]))
    alike = np.einsum("nw,nkw->nk", pictures, captions[among])
    best = alike.argmax(1)
    ties = ((alike == alike.max(1, keepdims=True)).sum(1) > 1) & (best == truth)
    best[ties] = (truth[ties] + 1) % alike.shape[1]
    return np.asarray(best, dtype=np.int64)
