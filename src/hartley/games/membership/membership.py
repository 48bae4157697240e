"""Membership: was this record in the training set?

In each round the auditor tosses a fair coin for every record of a pool (or for every group of
records) and trains a victim on the heads, so that each round is a new training run and an
independent cluster. The attacker sees the victim, the records and the training pipeline, and gives
each record a score. A scene with a model and no pipeline has one round on that model, with its
training records and other records; its members were not drawn by a coin. Where its owner planted
canaries that coins chose, and names no training records, these coins are the secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Model,
    Range,
    Role,
    Round,
    Scene,
    Slot,
    Stronger,
    View,
    game,
    spawn,
)
from hartley.core.errors import HartleyError, RunError, UsageError
from hartley.games.membership import live_and_dead
from hartley.games.membership.blind_baseline import blind_auc
from hartley.games.membership.document_sets import (
    judge_of_sets,
    sets_of,
    with_known_nonmembers,
)
from hartley.games.membership.judging import judge_of
from hartley.games.membership.pretrained import Pretrained
from hartley.games.membership.split_checks import LEAST, ROWS, readable, repeats, twins
from hartley.games.memorization import text_canaries
from hartley.games.planted_canaries import PlantedCanaries
from hartley.games.texts_as_tokens import in_tokens, with_scored_texts
from hartley.kit.language.tokens import likelihoods
from hartley.kit.once_per_deal import once_per_deal
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROUNDS = 16
"""Default number of victims."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A victim that memorises its training records."""
    return trainable(live_and_dead.scene(modality, rng, remembers=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A victim whose answers do not depend on its training records."""
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


CANDIDATES = 256
"""Records or texts that a membership attack of a chain is asked about."""


def aim(
    scene: Scene,
    target: Model,
    rng: Rng,
    *,
    candidates: int = CANDIDATES,
    shuffled: float = 0.0,
    **_: Any,
) -> View[MembershipBrief]:
    """Return the view of a membership attack that is asked what a model has read.

    Of texts it is asked about what the model writes. They begin with one token each, those of the
    scene's canaries and of the attacker's texts in turn, as training data is looked for in a
    model's samples (arXiv:2012.07805). Of other records it is asked about some of the pool, of
    which the model was trained on a part, and some of them may be shuffled: their numbers are in
    another order.

    Args:
        scene: with texts of the attacker's as tokens, and canaries; or with a pool.
        target: a model.
        rng: draws the texts, or the records.
        candidates: how many it is asked about, at most.
        shuffled: share of these whose numbers are in another order, the same for all.

    Raises:
        UsageError: the model writes no texts, or the scene lacks canaries, the attacker's texts or
            a pool; or shuffled records are wanted among texts or nodes.
    """
    if scene.modality is not Modality.LANGUAGE:
        return _aim_at_pool(scene, target, rng, candidates, shuffled)
    if shuffled:
        raise UsageError(f"shuffled must be 0 among texts that a model writes, got {shuffled}")
    public, canaries = scene.extra.get("public"), scene.extra.get("canaries")
    generate = target.generate
    if generate is None or public is None or canaries is None:
        raise UsageError(
            f"{target.name} must write texts, and {scene.name} have canaries and public texts, to "
            "ask what it has read of what it writes"
        )
    half = candidates // 2
    starts = [rng.choice(rows.x[:, 0], half) for rows in (canaries, public)]
    first = np.concatenate(starts)[:, None]
    new = canaries.x.shape[1] + text_canaries.generated_length(canaries)
    texts = np.concatenate([first, generate(first, new, int(rng.integers(2**31)))], 1)
    question = replace(public, name="written texts", x=np.unique(texts, axis=0), facts={})
    groups = np.arange(len(question))
    return View(source=target, brief=MembershipBrief(question, public, groups), salt=0)


def _aim_at_pool(
    scene: Scene, target: Model, rng: Rng, candidates: int, shuffled: float
) -> View[MembershipBrief]:
    """Return the view of an attack that is asked about records of the pool, some of them shuffled.

    A shuffled record has the numbers of a real one and looks like none. An attacker who gathers
    records gathers such as well.
    """
    pool = scene.extra.get("pool")
    if pool is None:
        raise UsageError(f"{scene.name} must have a pool to ask what {target.name} has read of it")
    rows = rng.permutation(len(pool))[:candidates]
    x, count = np.array(pool.x[rows]), round(shuffled * len(rows))
    if count:
        flat = x.reshape(len(x), -1)
        if x.dtype.kind != "f" or flat.shape[1] < 2:
            raise UsageError(f"shuffled must be 0 among records of {pool.name}, got {shuffled}")
        flat[:count] = flat[:count][:, rng.permutation(flat.shape[1])]
        x = flat.reshape(x.shape)
    order = rng.permutation(len(rows))
    y = None if pool.y is None else pool.y[rows][order]
    question = replace(pool, name="candidates", x=x[order], y=y, facts={})
    return View(
        source=target,
        brief=MembershipBrief(
            question,
            question,
            np.arange(len(question)),
            classes=target.classes,
            nonmembers=scene.extra.get("public"),
            references=scene.settings.references,
            sparing=scene.settings.sparing,
        ),
        defenses=scene.defenses,
        salt=0,
    )


@dataclass(frozen=True, slots=True)
class MembershipBrief:
    """What an attacker of membership knows.

    Attributes:
        question: the records that are asked about; one score answers each, larger for a member.
        public: records of the same population: for texts, passages of no victim's; otherwise the
            records in question themselves.
        groups: (n,) group 0..m−1 of each record of the question; a group shares a coin.
        classes: of the victim.
        nonmembers: records that no victim was trained on, or None.
        references: largest number of reference models, if each is expensive; 0 sets no limit.
        sparing: train no more reference models than still add to the attack.
        prior: probability that a record is a member.
        pretrained: (n, t−1) natural log-probabilities of the question's tokens by the public model
            that was fine-tuned, 0 at padding; None where the scene has no such model.
        pretrained_nonmembers: the same of ``nonmembers``.
    """

    question: Data
    public: Data
    groups: NDArray[np.integer]
    classes: int = 0
    nonmembers: Data | None = None
    references: int = 0
    sparing: bool = False
    prior: float = 0.5
    pretrained: NDArray[np.float64] | None = None
    pretrained_nonmembers: NDArray[np.float64] | None = None


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
        *("blind_auc", "blind_bits", "worst_percentile_advantage"),
    ),
    loot="data",
    accepts=(Slot.TRAIN, Slot.SOURCE),
    targets=targets_of,
    aim=aim,
    aim_requires_by={
        str(modality): ("generator", "canaries", "public")
        if modality is Modality.LANGUAGE
        else ("pool",)
        for modality in ALL
    },
    aims_at="model",
)
def membership(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(0, 10_000), Stronger.TRIALS] = 0,
    group: Annotated[int, Range(0)] = 1,
    mislabelled: Annotated[float, Range(0, 1), Stronger.MORE] = 0.0,
    targets: Annotated[int, Range(0), Stronger.TRIALS] = 0,
    candidates: Annotated[int, Range(4), Stronger.MORE] = CANDIDATES,
    shuffled: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
) -> Deal:
    """Train victims on random halves of a pool; the attacker guesses which records were members.

    Args:
        rounds: number of victims, each with its own coins; 0 takes the scene's default.
        group: number of records that share a coin and are judged together (dataset inference); 0
            groups the records of each user, by the pool's facts["user"]. In front of one deployed
            model a set is of members or of non-members, and smaller where there would be fewer than
            10 sets of either.
        mislabelled: share of the records that have a wrong label in training and in the question,
            the worst case for an audit.
        targets: number of records of the pool that are measured, which a chain is aimed at; 0
            measures all.
        candidates: records that an attack is asked about where it is aimed at the victim of another
            game, in a chain; of texts, those that the victim writes.
        shuffled: share of these whose numbers are in another order, so that they look like no
            member; none among texts.

    Raises:
        UsageError: the model cannot read the records, there are too few, members are among the
            non-members, or the scene does not support the parameters.
    """
    del candidates, shuffled
    scene, left_out = with_scored_texts(in_tokens(scene))
    deal = _deal(scene, rng, rounds=rounds, group=group, mislabelled=mislabelled, targets=targets)
    return replace(deal, metrics={**deal.metrics, "empty_texts": left_out}) if left_out else deal


def _deal(
    scene: Scene, rng: Rng, *, rounds: int, group: int, mislabelled: float, targets: int
) -> Deal:
    """Deal on the pool of a scene, or on its deployed model."""
    if scene.fit is None or "pool" not in scene.extra:
        if mislabelled or targets or (group != 1 and (scene.train is None or not group)):
            raise UsageError(
                f"scene {scene.name!r} must have a pipeline and a pool for group, mislabelled and "
                "targets, got none"
            )
        return _of_canaries(scene, rng) if scene.train is None else _deployed(scene, rng, group)
    assert scene.model is not None
    pool = scene.extra["pool"]
    readable(scene.model, pool)
    rounds = scene.settings.rounds_of("membership", rounds, ROUNDS)
    groups = _groups(pool, group, rng)
    uses = int(groups.max()) + 1
    if len(pool) < 2 * LEAST or uses < 2:
        raise UsageError(
            f"the pool of scene {scene.name!r} must have at least {2 * LEAST} records in 2 groups, "
            f"got {len(pool)} records in {uses}"
        )
    group_coins = rng.random((rounds, uses)) < 0.5
    coins = group_coins[:, groups]
    pool = _mislabel(pool, mislabelled, scene.model.classes, rng)
    victims = _trained(scene, pool, coins, int(rng.integers(2**31)))
    readable(victims.member(0), pool)
    salt = int(rng.integers(2**31))
    view = _view(scene, pool, groups, salt)
    return Deal(
        rounds=tuple(
            Round(
                view=replace(view, source=victims.member(k)),
                truth=group_coins[k].astype(np.int64),
            )
            for k in range(rounds)
        ),
        judge=judge_of(groups, _measured(scene, pool, groups, targets)),
        unit="" if group == 1 else f"group of {group} records" if group else "user",
        metrics=_of_the_split(pool, coins, groups, repeats(pool)),
        sources=((pool.name, 0),) if uses == len(pool) else (),
    )


def _measured(
    scene: Scene, pool: Data, groups: NDArray[Any], targets: int
) -> NDArray[np.bool_] | None:
    """Return which records (n,) are measured, if only the targets of a chain are; else None."""
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


def _deployed(scene: Scene, rng: Rng, group: int) -> Deal:
    """Return one round on the deployed model, with equally many members and non-members.

    This measures the given model, and not its training procedure, since there is one model only.
    """
    if group > 1:
        scene = with_known_nonmembers(scene, rng)
    model, train, holdout = scene.model, scene.train, scene.holdout
    assert model is not None and train is not None and holdout is not None
    for part, name in ((train, "members"), (holdout, "non-members")):
        readable(model, part)
        if len(part) < (LEAST if group == 1 else LEAST // 2):
            raise UsageError(
                f"scene {scene.name!r} must have at least {LEAST} {name}, got {len(part)}"
            )
    if np.asarray(train.x).shape[1:] != np.asarray(holdout.x).shape[1:]:
        raise UsageError(
            f"non-members of scene {scene.name!r} must be of the members' shape "
            f"{np.asarray(train.x).shape[1:]}, got {np.asarray(holdout.x).shape[1:]}"
        )
    if (train.y is None) != (holdout.y is None):
        raise UsageError(
            f"members and non-members of scene {scene.name!r} must both have labels, or neither"
        )
    shared = twins(train, holdout)
    if shared > 0.5:
        raise UsageError(
            f"non-members of scene {scene.name!r} must differ from the members, got {shared:.0%} "
            "that are members too"
        )
    numbers, sources = _numbered(train, holdout)
    # An attacker who saw a record's row could tell a member by it.
    train, holdout = (
        replace(part, facts={k: v for k, v in part.facts.items() if k != ROWS})
        for part in (train, holdout)
    )
    size = min(len(train), len(holdout))
    rows = [rng.permutation(len(part))[:size] for part in (train, holdout)]
    order = rng.permutation(2 * size)
    groups, unit = np.arange(2 * size), ""
    if group > 1:
        left, groups, each = sets_of(size, group, order)
        order, unit = order[left], f"set of {each} records"
    member = np.repeat([True, False], size)[order]
    truth = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    truth[groups] = member
    pool = replace(
        train,
        name="pool",
        x=np.concatenate([train.x[rows[0]], holdout.x[rows[1]]])[order],
        y=None
        if train.y is None or holdout.y is None
        else np.concatenate([train.y[rows[0]], holdout.y[rows[1]]])[order],
        facts=_facts_of_rows(train, holdout, rows, order),
    )
    items = np.concatenate([part[chosen] for part, chosen in zip(numbers, rows, strict=True)])
    items = items[order]
    view = _view(scene, pool, groups, int(rng.integers(2**31)))
    return Deal(
        rounds=(Round(replace(view, source=model), truth),),
        judge=judge_of(groups, items=items) if group == 1 else judge_of_sets(groups),
        unit=unit,
        # Given the model, its members and the non-members are drawn independently.
        cluster=False,
        planted=False,
        metrics=_of_the_split(pool, member[None], groups, shared),
        sources=sources if group == 1 else (),
    )


def _numbered(
    train: Data, holdout: Data
) -> tuple[list[NDArray[np.int64]], tuple[tuple[str, int], ...]]:
    """Return a number of each record, members first, and where those of either data begin."""
    rows = [np.asarray(part.facts.get(ROWS, range(len(part)))) for part in (train, holdout)]
    first = int(rows[0].max()) + 1
    return [rows[0], rows[1] + first], ((train.name, 0), (holdout.name, first))


def _of_canaries(scene: Scene, rng: Rng) -> Deal:
    """Return one round on the deployed model: which of its canaries were planted?

    A fair coin settled it for each before the training. All share one training run, which is one
    cluster: ε is certified by the one-run audit (arXiv:2305.08846), of a canary with all its
    copies.
    """
    part = scene.part(PlantedCanaries)
    assert scene.model is not None
    # An odd number: as many heads as tails, by chance, would be taken for a split made even.
    part = part.rows(np.arange(len(part.planted) - 1 + len(part.planted) % 2))
    readable(scene.model, part.texts)
    groups = np.arange(len(part.planted))
    view = _view(scene, part.texts, groups, int(rng.integers(2**31)))
    most = int(part.repeats.max())
    return Deal(
        rounds=(Round(replace(view, source=scene.model), part.planted.astype(np.int64)),),
        judge=judge_of(groups),
        unit=f"canary of up to {most} copies" if most > 1 else "canary",
        metrics=_of_the_split(part.texts, part.planted[None], groups, repeats(part.texts)),
        sources=((part.texts.name, 0),),
    )


def _facts_of_rows(
    train: Data, holdout: Data, rows: Sequence[NDArray[Any]], order: NDArray[Any]
) -> dict[str, Any]:
    """Return the facts of members for a pool of both; a number for each record moves with it."""
    facts = {}
    for name, value in train.facts.items():
        if np.shape(value)[:1] != (len(train),):
            facts[name] = value
        elif np.shape(others := holdout.facts.get(name, 0))[:1] == (len(holdout),):
            both = [np.asarray(v)[r] for v, r in zip((value, others), rows, strict=True)]
            facts[name] = np.concatenate(both)[order]
    return facts


def _trained(scene: Scene, pool: Data, coins: NDArray[Any], seed: int) -> Ensemble:
    try:
        return scene.victims(pool, coins, seed)
    except (HartleyError, MemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:160]
        raise RunError(
            f"the pipeline of scene {scene.name!r} cannot train on the pool (records of shape "
            f"{np.asarray(pool.x).shape[1:]}): {type(error).__name__}: {why}"
        ) from error


@once_per_deal()
def _view(scene: Scene, pool: Data, groups: NDArray[Any], salt: int) -> View[MembershipBrief]:
    """Return the attacker's view of every round, without the victim."""
    assert scene.model is not None
    nonmembers = scene.extra.get("public")
    unread = nonmembers if scene.modality is Modality.LANGUAGE else None
    pretrained = scene.find(Pretrained)
    groups.flags.writeable = False
    return View(
        source=None,
        brief=MembershipBrief(
            question=pool,
            public=pool if unread is None else unread,
            groups=groups,
            classes=scene.model.classes,
            nonmembers=nonmembers,
            references=scene.settings.references,
            sparing=scene.settings.sparing,
            pretrained=None if pretrained is None else likelihoods(pretrained.model, pool.x),
            pretrained_nonmembers=None
            if pretrained is None or nonmembers is None
            else likelihoods(pretrained.model, nonmembers.x),
        ),
        defenses=scene.defenses,
        salt=salt,
    )


def _groups(pool: Data, group: int, rng: Rng) -> NDArray[np.int64]:
    """Return the group (n,) of each record, as integers 0..m−1."""
    if group == 1:
        return np.arange(len(pool))
    if group > 1:
        return np.asarray(rng.permutation(len(pool)) // group)
    if "user" not in pool.facts:
        raise UsageError('the pool must have facts["user"] for group = 0, got none')
    return np.asarray(np.unique(np.asarray(pool.facts["user"]), return_inverse=True)[1])


def _mislabel(pool: Data, share: float, classes: int, rng: Rng) -> Data:
    """Return the pool with a share of wrong labels, each drawn uniformly from the others."""
    if not share:
        return pool
    if pool.y is None or classes < 2:
        raise UsageError(f"mislabelled must be 0 for records without labels, got {share}")
    hit = rng.permutation(len(pool))[: round(share * len(pool))]
    y = np.array(pool.y)
    y[hit] = (y[hit] + rng.integers(1, classes, len(hit))) % classes
    return replace(pool, y=y)


@once_per_deal()
def _of_the_split(
    pool: Data, coins: NDArray[Any], groups: NDArray[Any], doubles: float
) -> dict[str, Any]:
    """Return metrics of the split, which are the same for every attack."""
    metrics: dict[str, Any] = {"blind_auc": blind_auc(pool, coins, groups)}
    return {**metrics, "duplicates": doubles} if doubles else metrics
