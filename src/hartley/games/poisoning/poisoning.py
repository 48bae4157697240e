"""Poisoning: can an attacker who adds a few training records choose the model's answers?

One round is one training run. The auditor chooses a few *slots*: regions of the record space with
held-out records of one class. For each slot the auditor draws a message, which is a class, and
gives it to the attacker, who submits poison records and optionally a trigger for each slot. The
judge trains the victim on clean records and poison, applies the trigger to the slot's held-out
records, which the attacker does not choose, and takes the majority of the victim's labels as the
received symbol. Messages are random, so that a victim that always errs in the same way gives 0
bits, however high its attack success rate.

Of pairs the class is the kind of picture that a dual encoder says by its captions (see
``captioned_pictures``), and poison is pictures with captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Ensemble,
    Flow,
    Form,
    Modality,
    Model,
    Outcome,
    Output,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Slot,
    Stronger,
    View,
    game,
)
from hartley.core.errors import RuleError, UsageError
from hartley.games import nearest_learner
from hartley.games.example_pictures import picture, pictured, trigger
from hartley.games.poisoning import captioned_pictures, live_texts, text_triggers, triggers
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import kmeans
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.kit.language.bags import as_rows
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES = 4
CLEAN_EVERY = 4
"""Attacked victims per clean victim, which serves for the base rate only."""

REFUSED = -1
"""The label of an answer that prefers no class: a run-time detector refuses a record so."""

MESSAGE = "message"
"""The fact of records that poison is aimed at: (n,) the label that each should get."""

DROPPED = "dropped"
"""The fact of an ensemble (K, n): which of its training records a defense dropped."""

DETECTED = "detected"
"""The fact of an ensemble: by the name of a detector, which records (K, n) it alone would drop."""


CLEANED = "cleaned"
"""The fact of an ensemble, texts → texts: what is left of inputs that a defense takes words out of.
"""


def live(modality: Modality, rng: Rng) -> Scene:
    """A learner that answers by the latest of its nearest training records."""
    if modality is Modality.PAIRED:
        return captioned_pictures.tiny_scene(rng, learns=True)
    return trainable(_scene(modality, rng, learns=True), epochs=40)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A learner whose answers do not depend on its training records."""
    if modality is Modality.PAIRED:
        return captioned_pictures.tiny_scene(rng, learns=False)
    return trainable(_scene(modality, rng, learns=False), epochs=0)


def aim(
    scene: Scene, target: Data, rng: Rng, *, poisons: int = 16, cover: float = 0.2, **_: Any
) -> View[PoisoningBrief]:
    """Return the view of a poisoning attack that is aimed at given records.

    Its messages are wrong labels, drawn uniformly for each record, or those that the records bring
    with them.

    Args:
        scene: the scene whose training is poisoned.
        target: labelled records; (n,) labels among its facts, under ``MESSAGE``, are the messages.
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
    wrong = target.facts.get(MESSAGE)
    if wrong is None:
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
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.PAIRED,
        Modality.GRAPH,
    ),
    requires=("model", "fit", "train", "test", "public"),
    metrics=(
        "asr",
        "base_rate",
        "untriggered_rate",
        "robust_accuracy",
        "base_robust_accuracy",
        "clean_accuracy",
        "clean_accuracy_drop",
        "poison_rate",
        "poisons_per_trigger",
    ),
    loot="data",
    accepts=(Slot.PUBLIC,),
    aim=aim,
    aim_requires=("model", "public"),
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
    held_out: Annotated[int, Range(1), Stronger.TRIALS] = 500,
) -> Deal:
    """Draw a label for each slot; the attacker submits poison that makes the victim predict it.

    The loot's ``facts`` may declare triggers (``games.poisoning.triggers``): the judge puts the
    trigger of slot i on the records that it queries for slot i. Bits per poison record are the
    measured bits divided by ``poisons_per_trigger``.

    The rates beside the bits (``asr``, ``base_rate``, ``robust_accuracy``, …) count held-out
    records of all classes that a trigger is meant for, and of a slot without a trigger its probes;
    records of the message's own class are left out, since nothing succeeds there. An answer that
    prefers no class is a refusal: neither a success nor a right answer. Behind
    a detector ``dropped_poison`` and ``dropped_clean`` are the shares of training records, and
    ``refused_triggered`` and ``refused_clean`` those of inputs, that it found. Behind a defense
    that takes words out of texts, ``removed_trigger`` is the share of the trigger's words that are
    gone, and ``removed_clean`` that of the words of untouched texts.

    Of pairs, labels are the kinds of pictures that captions say, poison has ``captions`` among its
    facts, and a slot without a trigger is judged by the very picture that it is aimed at
    (arXiv:2106.09667), on which no victim is trained but as poison. ``recall_at_10`` is how often a
    test picture finds its own caption among the nearest ten.

    Args:
        rounds: number of victims, each trained on its own poison.
        slots: number of triggers per victim, each with its own message.
        poisons: largest number of poison records per slot.
        probes: number of held-out records per slot that the judge queries.
        cover: largest share of a record that a trigger may replace (the mean of its mask; of
            texts, the share of words that are the trigger's, in the mean); one number or word of
            it in any case.
        held_out: largest number of held-out records on which a trigger's rates are measured.

    Raises:
        UsageError: the public or the held-out records lack labels, or a class that a slot needs.
    """
    if scene.modality is Modality.PAIRED:
        scene = captioned_pictures.as_pictures(scene)
    assert scene.model is not None
    _check_records(scene)
    classes, public, test = scene.model.classes, scene.extra["public"], scene.extra["test"]
    messages = rng.integers(0, classes, (rounds, slots))
    centres = np.stack([_centres(public, slots, rng) for _ in range(rounds)])
    probe_rows = [[_near(test, public, c, probes) for c in row] for row in centres]
    seed, salt = int(rng.integers(2**31)), int(rng.integers(2**31))
    rated = rng.permutation(len(test))[:held_out]

    def judge(dealt: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del dealt
        loots = [_checked(out, scene, slots, poisons, cover) for out in outcomes]
        probed = [
            [_probed(scene, loot, centre, rows) for centre, rows in zip(*here, strict=True)]
            for loot, *here in zip(loots, centres, probe_rows, strict=True)
        ]
        return _judged(scene, loots, messages, (probed, rated), seed)

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
    distances = kmeans.distances(as_rows(test.x[same_class]), as_rows(public.x[[centre]]))[:, 0]
    out: NDArray[np.int64] = same_class[np.argsort(distances, kind="stable")[:probes]]
    return out


def _records(data: Data, rows: NDArray[Any]) -> Data:
    assert data.y is not None
    facts = captioned_pictures.captions_of(data, rows)
    return Data("slots", data.modality, data.x[rows], data.y[rows], role="targets", facts=facts)


def _probed(scene: Scene, loot: Data, centre: int, rows: NDArray[np.int64]) -> Data:
    """Return the held-out records of a slot, or of pairs without a trigger their target alone."""
    if scene.modality is Modality.PAIRED and not triggers.has_trigger(loot):
        return _records(scene.extra["public"], np.array([centre]))
    return _records(scene.extra["test"], rows)


def _judged(
    scene: Scene,
    loots: Sequence[Data],
    messages: NDArray[Any],
    to_query: tuple[Sequence[Sequence[Data]], NDArray[np.int64]],
    seed: int,
) -> list[Received]:
    """Train all victims, and some without poison, in one call, and query them.

    ``to_query``: the probes of each slot of each round, and the records that rates count.
    """
    probed, rated = to_query
    train, test = scene.train, scene.extra["test"]
    assert train is not None and test.y is not None
    victims, poison_of = victims_of(scene, loots, seed)
    clean_victims = [victims.member(k) for k in range(len(loots), victims.size)]
    unpoisoned = [float((labels_of(v, test.x) == test.y).mean()) for v in clean_victims]
    received = []
    for r, loot in enumerate(loots):
        victim, clean_victim = victims.member(r), clean_victims[r // CLEAN_EVERY]
        asked_about = [_changed(loot, i, probes) for i, probes in enumerate(probed[r])]
        triggered = [triggers.stamped(loot, i, probes.x) for i, probes in enumerate(asked_about)]
        labels = [labels_of(victim, x) for x in triggered]
        clean_labels = [labels_of(clean_victim, x) for x in triggered]
        plain = labels_of(victim, test.x)
        accuracy = float((plain == test.y).mean())
        rates = _Rates(victim, clean_victim, plain)
        meant_for = triggers.sources(loot, int(test.y.max()) + 1, len(triggered))
        for i, probes in enumerate(probed[r]):
            aimed, message = probes.labels[0], messages[r, i]
            if triggers.has_trigger(loot):
                here = rated[meant_for[i][test.y[rated]] | (test.y[rated] == aimed)]
                here = _changed_rows(loot, i, test, here[test.y[here] != message])
                x = triggers.stamped(loot, i, test.x[here])
                rates.count(x, test.y[here], plain[here], message)
                if (cleaned := victims.facts.get(CLEANED)) is not None and len(here):
                    rates.slots[-1] |= text_triggers.removed(test.x[here], x, cleaned)
            elif aimed != message:
                rates.count(probes.x, probes.labels, labels[i], message)
        received.append(
            Received(
                guess=np.array([_majority(answers) for answers in labels]),
                reference=np.array([_majority(answers) for answers in clean_labels]),
                metrics={
                    "clean_accuracy": accuracy,
                    "clean_accuracy_drop": unpoisoned[r // CLEAN_EVERY] - accuracy,
                    "poison_rate": len(loot) / (len(train) + len(loot)),
                    "poisons_per_trigger": len(loot) / len(triggered),
                    **rates.values,
                    **_dropped(victims, r, len(train), poison_of == r),
                    **_recalls(victims, r, len(loots) + r // CLEAN_EVERY),
                },
                cost={"poisons": float(len(loot))},
                columns={"poison_n": np.full(len(triggered), len(loot) / len(triggered))},
                pictures=_pictures(scene, loot, victim, messages[r]) if r == 0 else (),
            )
        )
    return received


def _pictures(
    scene: Scene, loot: Data, victim: Model, messages: NDArray[Any]
) -> tuple[dict[str, Any], ...]:
    """Picture the first trigger, and on the first test record that it is meant for what it does."""
    test = scene.extra["test"]
    if not triggers.has_trigger(loot) or not pictured(scene, test.x):
        return ()
    alone = trigger(loot.facts, 0)
    out = () if alone is None else (picture(alone, "the trigger"),)
    meant_for = triggers.sources(loot, int(test.labels.max()) + 1, len(messages))[0]
    rows = np.flatnonzero(meant_for[test.labels] & (test.labels != messages[0]))[:1]
    if not scene.settings.pictures or not len(rows):
        return out
    before = test.x[rows]
    after = triggers.stamped(loot, 0, before)
    (clean,), (answer,) = labels_of(victim, before), labels_of(victim, after)
    truth, message = int(test.labels[rows[0]]), int(messages[0])
    return (
        picture(before[0], f"a test record of class {truth}, answered {clean}"),
        *out,
        picture(after[0], f"with the trigger, answered {answer}; the attacker wants {message}"),
    )


def _changed_rows(loot: Data, slot: int, data: Data, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows whose text the slot's trigger changes, or all where it changes none."""
    if data.form is not Form.TEXT or not triggers.has_trigger(loot) or not len(rows):
        return rows
    changed = triggers.stamped(loot, slot, data.x[rows]) != data.x[rows]
    return rows[changed] if changed.any() else rows


def _changed(loot: Data, slot: int, probes: Data) -> Data:
    """Return the probes that the slot's trigger changes."""
    rows = _changed_rows(loot, slot, probes, np.arange(len(probes)))
    if len(rows) == len(probes):
        return probes
    return replace(probes, x=probes.x[rows], y=probes.labels[rows])


def victims_of(
    scene: Scene, loots: Sequence[Data], seed: int
) -> tuple[Ensemble, NDArray[np.int64]]:
    """Train a victim on each poison, and clean ones, by the owner's pipeline.

    Args:
        scene: has ``train`` and ``fit``.
        loots: poison of each victim.
        seed: of the training.

    Returns:
        a victim for each loot and then one clean victim for every ``CLEAN_EVERY`` of them; and
        the index of the loot that each poison record, in their order, belongs to.
    """
    train = scene.train
    assert train is not None and train.y is not None and scene.fit is not None
    clean_victims = -(-len(loots) // CLEAN_EVERY)
    poison_of = np.repeat(np.arange(len(loots)), [len(loot) for loot in loots])
    include = np.ones((len(loots) + clean_victims, len(train) + len(poison_of)), dtype=bool)
    include[:, len(train) :] = poison_of == np.arange(len(include))[:, None]
    training_data = Data(
        "train and poison",
        train.modality,
        np.concatenate([train.x, *(_as_trained(loot, train) for loot in loots)]),
        np.concatenate([train.y, *(np.asarray(loot.y) for loot in loots)]),
        facts=captioned_pictures.joined_captions([train, *loots]),
    )
    return scene.fit(training_data, include, seed), poison_of


def _as_trained(loot: Data, train: Data) -> NDArray[Any]:
    """Return the poison in the number format of the training records; texts keep their length."""
    return loot.x if train.form is Form.TEXT else loot.x.astype(train.x.dtype)


class _Rates:
    """Counts what a victim answers to triggered records, and the clean victim beside it."""

    def __init__(self, victim: Model, clean: Model, plain: NDArray[Any]) -> None:
        self.victim, self.clean, self.plain = victim, clean, plain
        self.slots: list[dict[str, float]] = []

    def count(
        self, triggered: NDArray[Any], truth: NDArray[Any], plain: NDArray[Any], message: int
    ) -> None:
        """Count one slot: its records, their labels, and the victim's answers without trigger."""
        if not len(truth):
            return
        labels, clean = labels_of(self.victim, triggered), labels_of(self.clean, triggered)
        self.slots.append(
            {
                "asr": float((labels == message).mean()),
                "base_rate": float((clean == message).mean()),
                "untriggered_rate": float((plain == message).mean()),
                "robust_accuracy": float((labels == truth).mean()),
                "base_robust_accuracy": float((clean == truth).mean()),
                "refused_triggered": float((labels == REFUSED).mean()),
            }
        )

    @property
    def values(self) -> dict[str, float]:
        """The means over slots; refusals where there are any."""
        out = {n: float(np.mean([s[n] for s in self.slots])) for n in (self.slots or [{}])[0]}
        refused = float((self.plain == REFUSED).mean())
        if out.get("refused_triggered") or refused:
            return {**out, "refused_clean": refused}
        return {n: value for n, value in out.items() if n != "refused_triggered"}


def _dropped(victims: Ensemble, r: int, honest: int, poison: NDArray[np.bool_]) -> dict[str, float]:
    """Return the shares of poison and of honest records that a defense kept out of training."""
    dropped = victims.facts.get(DROPPED)
    if dropped is None:
        return {}
    rates = {"dropped_clean": float(dropped[r, :honest].mean())}
    if poison.any():
        rates["dropped_poison"] = float(dropped[r, honest:][poison].mean())
        for name, alone in victims.facts.get(DETECTED, {}).items():
            rates[f"detected_by_{name}"] = float(alone[r, honest:][poison].mean())
    return rates


def _recalls(victims: Ensemble, r: int, clean: int) -> dict[str, float]:
    """Return how well a dual encoder retrieves captions, and what of that the poison costs."""
    recall = victims.facts.get(captioned_pictures.RECALL)
    if recall is None:
        return {}
    name = captioned_pictures.RECALL
    return {name: float(recall[r]), f"{name}_drop": float(recall[clean] - recall[r])}


def labels_of(model: Model, x: NDArray[Any]) -> NDArray[np.int64]:
    """Return the labels (n,) that a model gives to records; ``REFUSED`` where it prefers none."""
    answers = np.asarray(model.query(x))
    if model.output is Output.LABELS:
        return answers.astype(np.int64)
    undecided = answers.max(1) <= answers.min(1)
    return np.where(undecided, REFUSED, answers.argmax(1)).astype(np.int64)


def _majority(labels: NDArray[np.int64]) -> int:
    """Return the most frequent label, or ``REFUSED`` where that is more frequent."""
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()])


def _check_records(scene: Scene) -> None:
    """Raise the mistake of records that the game cannot be dealt on."""
    assert scene.model is not None
    public, test, train = scene.extra["public"], scene.extra["test"], scene.train
    for name, data in (("train", train), ("public", public), ("test", test)):
        assert data is not None
        if scene.modality is Modality.LANGUAGE and data.form is not Form.TEXT:
            raise UsageError(
                f"poisoning: the {name} records must be texts with a label each, got {data.form} "
                f"in {data.name!r}"
            )
        if data.y is None or not len(data):
            raise UsageError(f"poisoning: the {name} records must be labelled, got {data.name!r}")
        if not np.issubdtype(np.asarray(data.y).dtype, np.integer):
            raise UsageError(
                f"poisoning: the labels of the {name} records must be integers from 0, got "
                f"{np.asarray(data.y).dtype}"
            )
    absent = sorted({*np.unique(public.labels).tolist()} - {*np.unique(test.labels).tolist()})
    if absent:
        words = ", ".join(map(str, absent))
        raise UsageError(
            f"poisoning: the test records must have every class of the public records, got none "
            f"of class {words}"
        )


def _checked(outcome: Outcome, scene: Scene, slots: int, poisons: int, cover: float) -> Data:
    """Return the loot after checking it against the rules of the game.

    Raises:
        RuleError: the loot has too many records, no labels, impossible values or a large trigger.
    """
    loot, train = outcome.asset, scene.train
    assert isinstance(loot, Data)  # the engine checks the kind
    assert train is not None and scene.model is not None
    shape = train.x.shape[1:]
    if len(loot) > poisons * slots:
        raise RuleError(f"poison records must be at most {poisons * slots}, got {len(loot)}")
    if loot.y is None or loot.x.shape[1:] != shape or len(loot.y) != len(loot):
        raise RuleError(f"poison records must be of shape {shape} and have a label each")
    if (train.form is Form.TEXT) != (loot.x.dtype.kind in "UO") and len(loot):
        raise RuleError(f"poison records must be {train.form}, got an array of {loot.x.dtype}")
    if len(loot) and not (loot.y.min() >= 0 and loot.y.max() < scene.model.classes):
        odd = loot.y.min() if loot.y.min() < 0 else loot.y.max()
        raise RuleError(f"poison labels must be from 0 to {scene.model.classes - 1}, got {odd}")
    if train.form is not Form.TEXT and not np.isfinite(loot.x).all():
        raise RuleError("poison and patterns must be finite")
    if train.modality in triggers.PICTURES:
        triggers.check_pixels(loot.x)
    if train.modality is Modality.PAIRED:
        captioned_pictures.check_captions(loot, train)
    check = text_triggers.check if train.form is Form.TEXT else triggers.check_triggers
    check(loot, train, slots, scene.model.classes, cover)
    return loot


def _scene(modality: Modality, rng: Rng, *, learns: bool) -> Scene:
    """Return a scene whose classes are close together, its records closer, and triggers far."""
    if modality is Modality.GRAPH:
        return _graphs(rng, learns=learns)
    if modality is Modality.LANGUAGE:
        return live_texts.scene(rng, learns=learns)
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
        holdout=records("holdout", 24),
        extra={"public": records("public", 32), "test": records("test", 12)},
    )


NODES, GROUP = 8, 2
"""Nodes of a small graph in the live and dead scenes, and nodes of one group."""


def _graphs(rng: Rng, *, learns: bool) -> Scene:
    """Return the same of small graphs: pairs of like nodes are linked, and features differ a bit.

    Features have a sign for each group, so that only nodes of one group are alike.
    """
    group = np.arange(NODES) // GROUP
    like = (group[:, None] == group) & ~np.eye(NODES, dtype=bool)
    signs = np.eye(NODES // GROUP)[group]
    sizes = rng.uniform(0.4, 0.6, (CLASSES, NODES, NODES // GROUP))

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        noise = 0.005 * rng.standard_normal((len(y), *signs.shape))
        x = np.concatenate([np.tile(like, (len(y), 1, 1)), signs * (sizes[y] + noise)], 2)
        return Data(name, Modality.GRAPH, x.astype(np.float32), y)

    train, fit = (
        records("train", 48),
        nearest_learner.trainer(Modality.GRAPH, CLASSES, learns=learns, slack=0.15),
    )
    return Scene(
        name="live" if learns else "dead",
        modality=Modality.GRAPH,
        model=fit(train, np.ones((1, len(train)), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        holdout=records("holdout", 24),
        extra={"public": records("public", 32), "test": records("test", 12)},
        parts=(SmallGraphLinks(2, NODES),),
    )
