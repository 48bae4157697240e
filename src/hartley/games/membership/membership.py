"""Membership: was this record in the training set?

The auditor tosses a fair coin for every record of a pool (or for every group of records) and trains
a victim on the heads, once a round, so that each round is a fresh training run and an independent
cluster. The attacker sees the victim, the records and how the victim was trained; it answers each
record with a score. Where there is a model and no pipeline, one round is dealt on that model: what
it was trained on against what it was not, with nobody's coin behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    ALL,
    AnswerForm,
    Data,
    Deal,
    Ensemble,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Slot,
    View,
    game,
    spawn,
)
from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.games.membership import live_and_dead
from hartley.games.membership.blind_baseline import blind_auc
from hartley.games.membership.judging import judge_of
from hartley.games.membership.split_checks import LEAST, readable, repeats, twins
from hartley.games.texts_as_tokens import in_tokens
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 16
"""Victims, where neither the player nor the scene says how many."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that is sure of every record it was trained on and of no other."""
    return trainable(live_and_dead.scene(modality, rng, remembers=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim that answers from the record alone, whatever it was trained on."""
    return trainable(live_and_dead.scene(modality, rng, remembers=False), epochs=0)


def targets_of(scene: Scene, count: int) -> Data:
    """Return the records of the pool that a chain is aimed at, the same in every run.

    Raises:
        UsageError: the scene has no pool of labelled records, or fewer than ``count``.
    """
    pool = scene.extra.get("pool")
    if pool is None or pool.y is None or not 0 < count <= len(pool):
        size = 0 if pool is None else len(pool)
        raise UsageError(f"targets must be from 1 to the {size} records of the pool, got {count}")
    rows = target_rows(scene, len(pool), count)
    return replace(pool, name="targets", x=pool.x[rows], y=pool.y[rows])


def target_rows(scene: Scene, size: int, count: int) -> NDArray[np.int64]:
    """Return which records of a pool of ``size`` are targets: (count,) row numbers, sorted."""
    rng = np.random.default_rng(spawn(0, "membership", "targets", scene.name))
    return np.sort(rng.permutation(size)[:count])


@dataclass(frozen=True, slots=True)
class MembershipBrief:
    """What an attacker of membership knows.

    Attributes:
        question: the records that are asked about; one score answers each, larger for a member.
        public: records of the same population: of text, passages that no victim has read; else the
            records in question themselves.
        groups: (n,) which records of the question share a coin, as numbers 0..m−1.
        classes: of the victim.
        strangers: records that no victim was trained on, or None where the scene has none.
        references: reference models that are enough, where each is expensive; 0 sets no number.
        prior: how likely a record is a member.
    """

    question: Data
    public: Data
    groups: NDArray[np.integer]
    classes: int = 0
    strangers: Data | None = None
    references: int = 0
    prior: float = 0.5


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="record",
    live=live,
    dead=dead,
    brief=MembershipBrief,
    modalities=ALL,
    requires=("members",),
    metrics=(
        *("auc", "auc_two_sided", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3", "epsilon_lower"),
        *("blind_auc", "worst_percentile_advantage"),
    ),
    loot="data",
    accepts=(Slot.TRAIN, Slot.SOURCE),
    targets=targets_of,
)
def membership(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(0, 10_000)] = 0,
    group: Annotated[int, Range(0)] = 1,
    mislabelled: Annotated[float, Range(0, 1)] = 0.0,
    targets: Annotated[int, Range(0)] = 0,
) -> Deal:
    """Deal a fair membership coin for every record of the pool, once a round.

    Args:
        rounds: victims to train, each on its own coins; 0 leaves it to the scene.
        group: records that share a coin and are judged together (dataset inference); 0 groups the
            records of one user, by the pool's facts["user"].
        mislabelled: share of the records that are trained, and asked about, under a wrong label:
            the worst case of an audit.
        targets: records of the pool that are measured, those that a chain is aimed at; 0 measures
            all.

    Raises:
        UsageError: records that the model cannot read, too few of them, members that stand among
            the non-members, or parameters that the scene cannot carry.
    """
    scene = in_tokens(scene)
    if scene.fit is None or "pool" not in scene.extra:
        if group != 1 or mislabelled or targets:
            raise UsageError(
                f"{scene.name}: group, mislabelled and targets need a pipeline to train, and a pool"
            )
        return _deployed(scene, rng)
    assert scene.model is not None
    pool = scene.extra["pool"]
    readable(scene.model, pool)
    rounds = scene.settings.rounds_of("membership", rounds, ROUNDS)
    groups = _groups(pool, group, rng)
    uses = int(groups.max()) + 1
    if len(pool) < 2 * LEAST or uses < 2:
        raise UsageError(
            f"{scene.name}: a pool of {len(pool)} records in {uses} groups makes fewer than "
            f"{LEAST} members, or no two groups; {2 * LEAST} records are due"
        )
    tossed = rng.random((rounds, uses)) < 0.5
    coins = tossed[:, groups]
    pool = _mislabel(pool, mislabelled, scene.model.classes, rng)
    victims = _trained(scene, pool, coins, int(rng.integers(2**31)))
    readable(victims.member(0), pool)
    salt = int(rng.integers(2**31))
    asked = _view(scene, pool, groups, salt)
    return Deal(
        rounds=tuple(
            Round(
                view=replace(asked, source=victims.member(k)),
                truth=tossed[k].astype(np.int64),
            )
            for k in range(rounds)
        ),
        judge=judge_of(groups, _measured(scene, pool, groups, targets)),
        unit="" if group == 1 else f"group of {group} records" if group else "user",
        metrics=_of_the_split(pool, coins, groups, repeats(pool)),
    )


def _measured(
    scene: Scene, pool: Data, groups: NDArray[Any], targets: int
) -> NDArray[np.bool_] | None:
    """Which records are measured, where only the targets of a chain are."""
    if not targets:
        return None
    if targets > len(pool) or len(groups) != int(groups.max()) + 1:
        raise UsageError(
            f"targets must be at most the {len(pool)} records of the pool, each with a coin of its "
            f"own, got {targets}"
        )
    measured = np.zeros(len(pool), dtype=bool)
    measured[target_rows(scene, len(pool), targets)] = True
    return measured


def _deployed(scene: Scene, rng: Rng) -> Deal:
    """One round on the deployed model: as many of its training records as of others.

    What is measured is this model, not how it was trained: nobody trained it twice.
    """
    model, train, holdout = scene.model, scene.train, scene.holdout
    assert model is not None and train is not None and holdout is not None
    for part, name in ((train, "members"), (holdout, "non-members")):
        readable(model, part)
        if len(part) < LEAST:
            raise UsageError(f"{scene.name}: {len(part)} {name}; {LEAST} are due")
    if np.asarray(train.x).shape[1:] != np.asarray(holdout.x).shape[1:]:
        raise UsageError(
            f"{scene.name}: members of shape {np.asarray(train.x).shape[1:]}, non-members of "
            f"shape {np.asarray(holdout.x).shape[1:]}"
        )
    if (train.y is None) != (holdout.y is None):
        raise UsageError(
            f"{scene.name}: members and non-members must both carry labels, or neither"
        )
    shared = twins(train, holdout)
    if shared > 0.5:
        raise UsageError(
            f"{scene.name}: {shared:.0%} of the non-members stand among the members: there is "
            "nothing to tell apart"
        )
    size = min(len(train), len(holdout))
    rows = [rng.permutation(len(part))[:size] for part in (train, holdout)]
    order = rng.permutation(2 * size)
    truth = np.repeat([1, 0], size)[order]
    pool = replace(
        train,
        name="pool",
        x=np.concatenate([train.x[rows[0]], holdout.x[rows[1]]])[order],
        y=None
        if train.y is None or holdout.y is None
        else np.concatenate([train.y[rows[0]], holdout.y[rows[1]]])[order],
    )
    groups = np.arange(len(pool))
    view = _view(scene, pool, groups, int(rng.integers(2**31)))
    return Deal(
        rounds=(Round(replace(view, source=model), truth),),
        judge=judge_of(groups),
        # Of this one model: given it, its records and the others are drawn one by one.
        cluster=False,
        planted=False,
        metrics=_of_the_split(pool, truth[None] == 1, groups, shared),
    )


def _trained(scene: Scene, pool: Data, coins: NDArray[Any], seed: int) -> Ensemble:
    try:
        return scene.victims(pool, coins, seed)
    except (HartleyError, MemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:160]
        raise RunError(
            f"{scene.name}: its pipeline cannot train on the pool (records of shape "
            f"{np.asarray(pool.x).shape[1:]}): {type(error).__name__}: {why}"
        ) from error


def _view(scene: Scene, pool: Data, groups: NDArray[Any], salt: int) -> View[MembershipBrief]:
    """What the attacker sees in every round, but for the victim."""
    assert scene.model is not None
    strangers = scene.extra.get("public")
    unread = strangers if scene.modality is Modality.LANGUAGE else None
    groups.flags.writeable = False
    return View(
        source=None,
        brief=MembershipBrief(
            question=pool,
            public=pool if unread is None else unread,
            groups=groups,
            classes=scene.model.classes,
            strangers=strangers,
            references=scene.settings.references,
        ),
        defenses=scene.defenses,
        salt=salt,
    )


def _groups(pool: Data, group: int, rng: Rng) -> NDArray[np.int64]:
    """Which group each record is of: (n,) integers 0..m−1."""
    if group == 1:
        return np.arange(len(pool))
    if group > 1:
        return np.asarray(rng.permutation(len(pool)) // group)
    if "user" not in pool.facts:
        raise UsageError(f"group = {group}: the pool does not say whose its records are")
    return np.asarray(np.unique(np.asarray(pool.facts["user"]), return_inverse=True)[1])


def _mislabel(pool: Data, share: float, classes: int, rng: Rng) -> Data:
    """The pool with some records under a label that is not theirs, each of the others alike."""
    if not share:
        return pool
    if pool.y is None or classes < 2:
        raise UsageError(f"mislabelled must be 0 for records without labels, got {share}")
    hit = rng.permutation(len(pool))[: round(share * len(pool))]
    y = np.array(pool.y)
    y[hit] = (y[hit] + rng.integers(1, classes, len(hit))) % classes
    return replace(pool, y=y)


def _of_the_split(
    pool: Data, coins: NDArray[Any], groups: NDArray[Any], doubles: float
) -> dict[str, Any]:
    """What is to be said of a deal whatever attack plays it."""
    found: dict[str, Any] = {"blind_auc": blind_auc(pool, coins, groups)}
    return {**found, "duplicates": doubles} if doubles else found
