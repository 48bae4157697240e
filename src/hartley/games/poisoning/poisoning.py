"""Poisoning: can an attacker who adds a few training records choose the model's answers?

One round is one training run. The auditor chooses a few *slots*: regions of the record space with
held-out records of one class. For each slot the auditor draws a message, which is a class, and
gives it to the attacker, who submits poison records and optionally a trigger for each slot. The
judge trains the victim on clean records and poison, applies the trigger to the slot's held-out
records, which the attacker does not choose, and takes the majority of the victim's labels as the
received symbol. Messages are random, so that a victim that always errs in the same way gives 0
bits, however high its attack success rate.
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
    Stronger,
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
"""Attacked victims per clean victim, which serves for the base rate only."""


def live(modality: Modality, rng: Rng) -> Scene:
    """A learner that answers by the latest of its nearest training records."""
    return _scene(modality, rng, learns=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A learner whose answers do not depend on its training records."""
    return _scene(modality, rng, learns=False)


def aim(
    scene: Scene, target: Data, rng: Rng, *, poisons: int = 16, cover: float = 0.2, **_: Any
) -> View[PoisoningBrief]:
    """Return the view of a poisoning attack that is aimed at given records.

    Its messages are wrong labels, drawn uniformly for each record.

    Args:
        scene: the scene whose training is poisoned.
        target: labelled records.
        rng: draws the labels.
        poisons: largest number of poison records per target.
        cover: largest share of a record that a trigger may replace.

    Raises:
        UsageError: the records have no labels, or the scene has no model or no public records.
    """
    if scene.model is None or target.y is None or "public" not in scene.extra:
        raise UsageError(
            f"scene {scene.name!r} must have a classifier, labelled targets and public records for "
            "poisoning"
        )
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
        question: one record per slot, which the poison is aimed at, with its label.
        message: (slots,) labels that the victim should give to them.
        classes: of the victim.
        poisons: largest number of poison records per slot.
        cover: largest share of a record that a trigger may replace (the mean of its mask).
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
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 32,
    slots: Annotated[int, Range(1)] = 4,
    poisons: Annotated[int, Range(1), Stronger.MORE] = 16,
    probes: Annotated[int, Range(1), Stronger.MORE] = 9,
    cover: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 0.2,
) -> Deal:
    """Draw a label for each slot; the attacker submits poison that makes the victim predict it.

    The loot's ``facts`` may have ``patterns`` and ``masks``, both (slots, *record shape): the judge
    queries x·(1 − masks[i]) + patterns[i]·masks[i] for a record x of slot i. Bits per poison record
    are the measured bits divided by ``poisons_per_trigger``.

    Args:
        rounds: number of victims, each trained on its own poison.
        slots: number of triggers per victim, each with its own message.
        poisons: largest number of poison records per slot.
        probes: number of held-out records per slot that the judge queries.
        cover: largest share of a record that a trigger may replace (the mean of its mask).
    """
    assert scene.model is not None
    classes, public, test = scene.model.classes, scene.extra["public"], scene.extra["test"]
    messages = rng.integers(0, classes, (rounds, slots))
    centres = np.stack([_centres(public, slots, rng) for _ in range(rounds)])
    probe_rows = [[_near(test, public, c, probes) for c in row] for row in centres]
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del dealt
        loots = [_checked(out, scene, slots, poisons * slots, cover) for out in outcomes]
        return _judged(scene, loots, messages, probe_rows, seed)

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
    """Draw a record (slots,) for each slot, from as many different classes as possible."""
    order = rng.permutation(len(public))
    assert public.y is not None
    by_class: dict[int, list[int]] = {}
    for i in order:
        by_class.setdefault(int(public.y[i]), []).append(int(i))
    drawn = [queue.pop() for _ in range(slots) for queue in by_class.values() if queue]
    return np.array(drawn[:slots])


def _near(test: Data, public: Data, centre: int, probes: int) -> NDArray[np.int64]:
    """Return the held-out records (probes,) of the centre's class that are nearest to it."""
    assert test.y is not None and public.y is not None
    same_class = np.flatnonzero(test.y == public.y[centre])
    distances = kmeans.distances(kmeans.flat(test.x[same_class]), kmeans.flat(public.x[[centre]]))[
        :, 0
    ]
    out: NDArray[np.int64] = same_class[np.argsort(distances, kind="stable")[:probes]]
    return out


def _records(data: Data, rows: NDArray[Any]) -> Data:
    assert data.y is not None
    return Data("slots", data.modality, data.x[rows], data.y[rows], role="targets")


def _judged(
    scene: Scene,
    loots: Sequence[Data],
    messages: NDArray[Any],
    probe_rows: Sequence[Sequence[NDArray[Any]]],
    seed: int,
) -> list[Received]:
    """Train all victims, and some without poison, in one call, and query them."""
    train, test = scene.train, scene.extra["test"]
    assert train is not None and train.y is not None and scene.fit is not None
    assert test.y is not None
    sizes = [len(loot) for loot in loots]
    clean_victims = -(-len(loots) // CLEAN_EVERY)
    poison_of = np.repeat(np.arange(len(loots)), sizes)
    include = np.ones((len(loots) + clean_victims, len(train) + len(poison_of)), dtype=bool)
    include[:, len(train) :] = poison_of == np.arange(len(include))[:, None]
    training_data = Data(
        "train and poison",
        train.modality,
        np.concatenate([train.x, *(loot.x.astype(train.x.dtype) for loot in loots)]),
        np.concatenate([train.y, *(np.asarray(loot.y) for loot in loots)]),
    )
    victims = scene.fit(training_data, include, seed)
    received = []
    for r, loot in enumerate(loots):
        victim, clean_victim = victims.member(r), victims.member(len(loots) + r // CLEAN_EVERY)
        stamped = [_stamp(loot, i, test.x[rows]) for i, rows in enumerate(probe_rows[r])]
        labels = [labels_of(victim, x) for x in stamped]
        clean_labels = [labels_of(clean_victim, x) for x in stamped]
        changed = [i for i, rows in enumerate(probe_rows[r]) if test.y[rows[0]] != messages[r, i]]
        accuracy = float((labels_of(victim, test.x) == test.y).mean())
        clean_accuracy = float((labels_of(clean_victim, test.x) == test.y).mean())
        metrics = {
            "clean_accuracy": accuracy,
            "clean_accuracy_drop": clean_accuracy - accuracy,
            "poison_rate": len(loot) / (len(train) + len(loot)),
            "poisons_per_trigger": len(loot) / len(stamped),
        }
        if changed:  # if the message is the true class, success means nothing
            metrics["asr"] = float(np.mean([(labels[i] == messages[r, i]).mean() for i in changed]))
            metrics["base_rate"] = float(
                np.mean([(clean_labels[i] == messages[r, i]).mean() for i in changed])
            )
        received.append(
            Received(
                guess=np.array([np.bincount(s).argmax() for s in labels]),
                reference=np.array([np.bincount(s).argmax() for s in clean_labels]),
                metrics=metrics,
                cost={"poisons": float(len(loot))},
                columns={"poison_n": np.full(len(stamped), len(loot) / len(stamped))},
            )
        )
    return received


def _checked(outcome: Outcome, scene: Scene, slots: int, budget: int, cover: float) -> Data:
    """Return the loot after checking it against the rules of the game.

    Raises:
        RuleError: the loot has too many records, no labels, impossible values or a large trigger.
    """
    loot, train = outcome.asset, scene.train
    assert isinstance(loot, Data)  # the engine checks the kind
    assert train is not None and scene.model is not None
    shape = train.x.shape[1:]
    if len(loot) > budget:
        raise RuleError(f"poison records must be at most {budget}, got {len(loot)}")
    if loot.y is None or loot.x.shape[1:] != shape or len(loot.y) != len(loot):
        raise RuleError(f"poison records must be of shape {shape} and have a label each")
    if len(loot) and not (loot.y.min() >= 0 and loot.y.max() < scene.model.classes):
        odd = loot.y.min() if loot.y.min() < 0 else loot.y.max()
        raise RuleError(f"poison labels must be from 0 to {scene.model.classes - 1}, got {odd}")
    arrays = [loot.x]
    if "patterns" in loot.facts:
        patterns, masks = np.asarray(loot.facts["patterns"]), np.asarray(loot.facts["masks"])
        if patterns.shape != (slots, *shape) or masks.shape != patterns.shape:
            raise RuleError(f"patterns and masks must be of shape {(slots, *shape)}")
        if masks.min() < 0 or masks.reshape(slots, -1).mean(1).max() > cover + 1e-6:
            raise RuleError(f"a trigger must replace at most {cover:.0%} of a record")
        arrays.append(patterns)
    for array in arrays:
        if not np.isfinite(array).all():
            raise RuleError("poison and patterns must be finite")
        vision = train.modality is Modality.VISION and array.size
        if vision and (array.min() < -1e-6 or array.max() > 1 + 1e-6):
            raise RuleError("pixels of poison and patterns must be from 0 to 1")
    return loot


def _stamp(loot: Data, slot: int, x: NDArray[Any]) -> NDArray[Any]:
    """Return records (n, …) with the slot's trigger, or unchanged if there is none."""
    if "patterns" not in loot.facts:
        return x
    pattern, mask = loot.facts["patterns"][slot], loot.facts["masks"][slot]
    return np.asarray(x * (1 - mask) + pattern * mask, dtype=x.dtype)


def _scene(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    """Return a scene whose classes are close together, its records closer, and triggers far."""
    shape = tiny_shape(modality, "poisoning", flat=64)
    templates = rng.uniform(0.05, 0.95, shape) + rng.uniform(-0.05, 0.05, (CLASSES, *shape))

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        x = templates[y] + 0.005 * rng.standard_normal((len(y), *shape))
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    train, fit = (
        records("train", 48),
        nearest_learner.trainer(modality, CLASSES, learns=learns, slack=0.15),
    )
    return Scene(
        name="live" if learns else "dead",
        modality=modality,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        extra={"public": records("public", 32), "test": records("test", 12)},
    )
