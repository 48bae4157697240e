"""Poisoning: can someone who adds a few training records make the model say what he wants?

One round is one training run. The auditor cuts out a few *slots*: places in the record space where
held-out records of one class lie close together. For each slot he draws a message, a class, and
tells it to the attacker, who submits poison records and, if he likes, a trigger for each slot. The
judge trains the victim on clean records and poison, stamps the trigger onto the slot's held-out
records (so no attacker picks his own probes), and takes the majority of the victim's labels as the
received symbol. Since the message is drawn afresh, a victim that errs always in the same way
carries 0 bit, however high its "attack success".
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
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    View,
    game,
)
from hartley.core.errors import RuleError, UsageError
from hartley.games import nearest_learner
from hartley.games.extraction.fingerprint import labels_of
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4
CLEAN_EVERY = 4
"""One unattacked victim for so many attacked ones: it only serves the base rate."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A learner that answers by its nearest training record, and the latest of these wins."""
    return _wire(modality, rng, learns=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A learner that answers from the record alone, whatever it was taught."""
    return _wire(modality, rng, learns=False)


def aim(
    scene: Scene, target: Data, rng: Rng, *, poisons: int = 16, cover: float = 0.2, **_: Any
) -> View[PoisoningBrief]:
    """Return the view of a poisoning attack that is aimed at given records.

    Its messages are wrong labels, drawn for each record from those that are not its own.

    Args:
        scene: what is poisoned.
        target: labelled records.
        rng: draws the labels.
        poisons: poison records for each target.
        cover: share of a record that a trigger may replace.

    Raises:
        UsageError: records without labels, or a scene without a model or records of the attacker's.
    """
    if scene.model is None or target.y is None or "public" not in scene.extra:
        raise UsageError(f"{scene.name}: poison is aimed at labelled records of a classifier")
    classes, labels = scene.model.classes, np.asarray(target.y)
    wrong = (labels + rng.integers(1, classes, len(labels))) % classes
    return View(
        source=scene.extra["public"],
        brief=PoisoningBrief(target, wrong, classes, poisons, cover),
        defenses=scene.defenses,
    )


@dataclass(frozen=True, slots=True)
class PoisoningBrief:
    """What an attacker of poisoning knows; the source of the view is their own records.

    Attributes:
        question: (slots) records that the poison is aimed at, with their labels.
        message: (slots,) labels that the victim is to give to them.
        classes: of the victim.
        poisons: poison records that may be submitted for each slot.
        cover: share of a record that a trigger may replace (the mean of its mask).
    """

    question: Data
    message: NDArray[np.integer]
    classes: int
    poisons: int
    cover: float

    @property
    def slots(self) -> int:
        """Records that the poison is aimed at, each with its own message."""
        return len(self.question)


@game(
    flow=Flow.LEARNING,
    role=Role.INJECT,
    form=AnswerForm.SYMBOL,
    unit="trigger",
    live=live,
    dead=dead,
    brief=PoisoningBrief,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    requires=("model", "fit", "train", "test", "public"),
    metrics=(
        "asr",
        "base_rate",
        "clean_accuracy",
        "clean_accuracy_drop",
        "poison_rate",
        "poisons_per_trigger",
    ),
    loot="data",
    aim=aim,
)
def poisoning(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000)] = 32,
    slots: Annotated[int, Range(1)] = 4,
    poisons: Annotated[int, Range(1)] = 16,
    probes: Annotated[int, Range(1)] = 9,
    cover: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Deal:
    """Deal one message a slot; the loot is the poison, and the victim's behaviour the answer.

    The loot's ``facts`` may hold ``patterns`` and ``masks``, both (slots, *record shape): record x
    of slot i is probed as x·(1 − masks[i]) + patterns[i]·masks[i]. Bits per poison record are the
    measured bits divided by ``poisons_per_trigger``.

    Args:
        rounds: victims to train, each on its own poison.
        slots: triggers a victim, each with its own message.
        poisons: poison records that the attacker may submit for each slot.
        probes: held-out records that speak for a slot.
        cover: share of a record that a trigger may replace (the mean of its mask).
    """
    assert scene.model is not None
    classes, public, held = scene.model.classes, scene.extra["public"], scene.extra["test"]
    messages = rng.integers(0, classes, (rounds, slots))
    centres = np.stack([_centres(public, slots, rng) for _ in range(rounds)])
    asked = [[_near(held, public, c, probes) for c in row] for row in centres]
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del dealt
        loots = [_checked(out, scene, slots, poisons * slots, cover) for out in outcomes]
        return _judged(scene, loots, messages, asked, seed)

    return Deal(
        rounds=tuple(
            Round(
                view=View(
                    source=public,
                    brief=PoisoningBrief(
                        _records(public, centres[r]), messages[r], classes, poisons, cover
                    ),
                    defenses=scene.defenses,
                    salt=salt,
                ),
                truth=messages[r],
                alphabet=classes,
            )
            for r in range(rounds)
        ),
        judge=judge,
    )


def _centres(public: Data, slots: int, rng: Rng) -> NDArray[np.int64]:
    """Draw a record for each slot, of as many different classes as there are."""
    order = rng.permutation(len(public))
    assert public.y is not None
    seen: dict[int, list[int]] = {}
    for i in order:
        seen.setdefault(int(public.y[i]), []).append(int(i))
    turns = [queue.pop() for _ in range(slots) for queue in seen.values() if queue]
    return np.array(turns[:slots])


def _near(held: Data, public: Data, centre: int, probes: int) -> NDArray[np.int64]:
    """The held-out records of the centre's class that lie closest to it."""
    assert held.y is not None and public.y is not None
    mine = np.flatnonzero(held.y == public.y[centre])
    away = kmeans.distances(kmeans.flat(held.x[mine]), kmeans.flat(public.x[[centre]]))[:, 0]
    out: NDArray[np.int64] = mine[np.argsort(away, kind="stable")[:probes]]
    return out


def _records(data: Data, rows: NDArray[Any]) -> Data:
    assert data.y is not None
    return Data("slots", data.modality, data.x[rows], data.y[rows], role="targets")


def _judged(
    scene: Scene,
    loots: Sequence[Data],
    messages: NDArray[Any],
    asked: Sequence[Sequence[NDArray[Any]]],
    seed: int,
) -> list[Received]:
    """Train all victims in one call, and some without poison, and ask them all."""
    train, held = scene.train, scene.extra["test"]
    assert train is not None and train.y is not None and scene.fit is not None
    assert held.y is not None
    sizes = [len(loot) for loot in loots]
    clean = -(-len(loots) // CLEAN_EVERY)
    owner = np.repeat(np.arange(len(loots)), sizes)
    include = np.ones((len(loots) + clean, len(train) + len(owner)), dtype=bool)
    include[:, len(train) :] = owner == np.arange(len(include))[:, None]
    lesson = Data(
        "train and poison",
        train.modality,
        np.concatenate([train.x, *(loot.x.astype(train.x.dtype) for loot in loots)]),
        np.concatenate([train.y, *(np.asarray(loot.y) for loot in loots)]),
    )
    victims = scene.fit(lesson, include, seed)
    received = []
    for r, loot in enumerate(loots):
        victim, innocent = victims.member(r), victims.member(len(loots) + r // CLEAN_EVERY)
        stamped = [_stamp(loot, i, held.x[rows]) for i, rows in enumerate(asked[r])]
        said = [labels_of(victim, x) for x in stamped]
        without = [labels_of(innocent, x) for x in stamped]
        aims = [i for i, rows in enumerate(asked[r]) if held.y[rows[0]] != messages[r, i]]
        right = float((labels_of(victim, held.x) == held.y).mean())
        before = float((labels_of(innocent, held.x) == held.y).mean())
        usual = {
            "clean_accuracy": right,
            "clean_accuracy_drop": before - right,
            "poison_rate": len(loot) / (len(train) + len(loot)),
            "poisons_per_trigger": len(loot) / len(stamped),
        }
        if aims:  # where the message is the natural class, success would mean nothing
            usual["asr"] = float(np.mean([(said[i] == messages[r, i]).mean() for i in aims]))
            usual["base_rate"] = float(
                np.mean([(without[i] == messages[r, i]).mean() for i in aims])
            )
        received.append(
            Received(
                guess=np.array([np.bincount(s).argmax() for s in said]),
                reference=np.array([np.bincount(s).argmax() for s in without]),
                metrics=usual,
                cost={"poisons": float(len(loot))},
                columns={"poison_n": np.full(len(stamped), len(loot) / len(stamped))},
            )
        )
    return received


def _checked(outcome: Outcome, scene: Scene, slots: int, budget: int, cover: float) -> Data:
    """Hold the loot against the rules of the game.

    Raises:
        RuleError: too many poisons, no labels, values that no record has, or too large a trigger.
    """
    loot, train = outcome.asset, scene.train
    assert isinstance(loot, Data)  # the engine has checked the kind
    assert train is not None and scene.model is not None
    shape = train.x.shape[1:]
    if len(loot) > budget:
        raise RuleError(f"{len(loot)} poison records, but the budget is {budget}")
    if loot.y is None or loot.x.shape[1:] != shape or len(loot.y) != len(loot):
        raise RuleError(f"poison needs records of shape {shape} and a label each")
    if len(loot) and not (loot.y.min() >= 0 and loot.y.max() < scene.model.classes):
        raise RuleError(f"a poison label outside 0…{scene.model.classes - 1}")
    arrays = [loot.x]
    if "patterns" in loot.facts:
        patterns, masks = np.asarray(loot.facts["patterns"]), np.asarray(loot.facts["masks"])
        if patterns.shape != (slots, *shape) or masks.shape != patterns.shape:
            raise RuleError(f"patterns and masks need the shape {(slots, *shape)}")
        if masks.min() < 0 or masks.reshape(slots, -1).mean(1).max() > cover + 1e-6:
            raise RuleError(f"a trigger may replace at most {cover:.0%} of a record")
        arrays.append(patterns)
    for array in arrays:
        if not np.isfinite(array).all():
            raise RuleError("poison and patterns must be finite")
        vision = train.modality is Modality.VISION and array.size
        if vision and (array.min() < -1e-6 or array.max() > 1 + 1e-6):
            raise RuleError("pixels outside 0…1")
    return loot


def _stamp(loot: Data, slot: int, x: NDArray[Any]) -> NDArray[Any]:
    """Put the slot's trigger onto records (n, …); without one they stay as they are."""
    if "patterns" not in loot.facts:
        return x
    pattern, mask = loot.facts["patterns"][slot], loot.facts["masks"][slot]
    return np.asarray(x * (1 - mask) + pattern * mask, dtype=x.dtype)


def _wire(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    """Classes close together, records closer still, and triggers far away from both."""
    shape = tiny_shape(modality, "poisoning", flat=64)
    kinds = rng.uniform(0.05, 0.95, shape) + rng.uniform(-0.05, 0.05, (CLASSES, *shape))

    def some(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        x = kinds[y] + 0.005 * rng.standard_normal((len(y), *shape))
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    train, fit = (
        some("train", 48),
        nearest_learner.trainer(modality, CLASSES, learns=learns, slack=0.15),
    )
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        extra={"public": some("public", 32), "test": some("test", 12)},
    )
