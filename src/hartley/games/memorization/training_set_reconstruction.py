"""Training set reconstruction: which records was a small net trained on, by its weights alone?

The auditor trains small nets on a few records each until they memorise them, and gives their
weights to the attacker, who scores R candidates for each record. One of these was drawn uniformly
and is in the training set (arXiv:2206.07758).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    Access,
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Settings,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError
from hartley.games.memorization import canaries as book
from hartley.games.memorization import small_nets
from hartley.games.memorization.judging import judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 8
"""Default number of nets."""

RECORDS, SIDE = 320, 6
"""Records of the live and dead scenes, and their side: pictures of black and white pixels."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Small nets that memorise their records."""
    return _scene(modality, rng, remembers=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Small nets that memorise unrelated records."""
    return _scene(modality, rng, remembers=False)


@dataclass(frozen=True, slots=True)
class ReconstructionBrief:
    """What an attacker of training set reconstruction knows.

    Attributes:
        question: the labels of the net's m records; its facts have each record's candidates (see
            ``games.memorization.small_nets``). The answer is a score for each candidate of each.
        candidates: number of candidates of each record.
        codes: (m, candidates, pixels) the candidates themselves.
        centre: (pixels,) mean that the owner subtracts from every record before training.
    """

    question: Data
    candidates: int
    codes: NDArray[np.floating]
    centre: NDArray[np.floating]


@game(
    cls="memorization",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.RANK,
    unit="training record",
    live=live,
    dead=dead,
    brief=ReconstructionBrief,
    modalities=(Modality.VISION,),
    requires=("train",),
    metrics=("exposure", "extraction_rate"),
    loot="data",
)
def training_set_reconstruction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0,
    records: Annotated[int, Range(0)] = 0,
) -> Deal:
    """Train small nets that memorise their records; the attacker ranks candidates by the weights.

    Args:
        rounds: number of nets, each with its own records; 0 takes the scene's default.
        records: number of records that a net is trained on; 0 takes the scene's default.

    Raises:
        UsageError: the scene has too few labelled records.
    """
    nets = scene.find(small_nets.SmallNets) or small_nets.INTERPOLATED
    rounds = scene.settings.rounds_of("training_set_reconstruction", rounds, ROUNDS)
    records = records or nets.records
    train, holdout = scene.train, scene.holdout
    assert train is not None
    if train.y is None:
        raise UsageError(f"{scene.name}: train must be labelled for small nets to learn")
    parts = [p for p in (train, holdout) if p is not None and p.y is not None]
    labels = np.concatenate([np.asarray(part.y) for part in parts])
    pool = replace(train, x=np.concatenate([part.x for part in parts]), y=labels)
    public = scene.extra.get("public", pool)
    centre = public.x.reshape(len(public), -1).mean(0, dtype=np.float64)
    dealt = []
    for _ in range(rounds):
        question = small_nets.slots(pool, centre, records, rng)
        truth = rng.integers(0, book.candidates(question), records)
        x = book.write(question, truth).reshape(records, -1) - centre
        assert question.y is not None
        weights = nets.learn(x, 2.0 * question.y - 1, int(rng.integers(2**31)))
        codes = np.asarray(question.facts["codes"])
        brief = ReconstructionBrief(question, book.candidates(question), codes, centre)
        source = small_nets.victim(weights, question)
        if scene.defenses:
            # These nets are not trained by the scene's pipeline, so its defenses would have no
            # effect. Withholding the weights makes attacks fail instead of measuring that.
            name = f"{source.name} (trained without the defenses of {scene.name})"
            source = source.with_(name=name, weights=None, offers=source.offers ^ Access.WEIGHTS)
        view = View(source, brief, defenses=scene.defenses)
        dealt.append(Round(view=view, truth=truth, alphabet=book.candidates(question)))
    return Deal(rounds=tuple(dealt), judge=judge)


def _scene(modality: Modality, rng: Rng, *, remembers: bool) -> Scene:
    x = (rng.random((RECORDS, 1, SIDE, SIDE)) < 0.5).astype(np.float32)
    learn = small_nets.interpolate if remembers else _learn_unrelated
    return Scene(
        name="live" if remembers else "dead",
        modality=modality,
        train=Data("train", modality, x, rng.integers(0, 4, len(x))),
        parts=(small_nets.SmallNets(learn, records=5),),
        settings=Settings({"training_set_reconstruction": 4}),
    )


def _learn_unrelated(x: NDArray[Any], y: NDArray[Any], seed: int) -> small_nets.Weights:
    """Return a small net that memorises random records instead of those that it is given."""
    return small_nets.interpolate(np.random.default_rng(seed).random(x.shape) - 0.5, y, seed)
