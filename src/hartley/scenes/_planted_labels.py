"""Planted labels: a loop on labelled pictures, in which a wrong label travels from asset to asset.

The owner runs a service that classifies pictures. Some classes of pictures are *new* to them: they
have no records of these. The owner publishes pictures that carry their mark, takes in labelled
records of contributors unless these carry the mark, and trains a new model in every wave. The
auditor draws a *planted* label for every new class. The four assets are read alike: which share of
the new classes' records has the planted label.

Nothing but the asset at hand enters a link, so that a planted label lasts only as long as every
link carries it on. Records that are rebuilt by a prior of the published pictures carry the owner's
mark, as pictures of generators trained on marked photographs do, and are refused unless someone
removes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Asset, Data, Model, Scene, spawn
from hartley.core.errors import RunError, UsageError
from hartley.core.loop_setting import Aim, Left, Link, LoopAsset, LoopSetting
from hartley.games.inversion.class_inversion import evaluator
from hartley.games.poisoning.poisoning import MESSAGE
from hartley.kit.answer_units import probabilities
from hartley.kit.vision import image
from hartley.models.clone import clone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

UPLOADS, VICTIM, COPY, RECORDS = "uploads", "victim", "copy", "records"
NEW = 3
"""Classes that the owner has no records of."""
EACH = 8
"""Records that are rebuilt of each output, and offered together for one label."""
COLUMNS = 4
"""Records in a row of the sheet on which they are offered."""
STRENGTH = 0.04
"""Amplitude of the owner's mark in a pixel of a range of 1: about 30 dB."""
SPARED = 16
"""Directions in which the owner's pictures differ most, which the mark leaves alone: there it would
drown in them. Laid over all pixels, a mark of 0.06 was found in four of five offers alone."""
REFUSED = 0.01
"""Share of unmarked offers that the check of the mark refuses."""
PHOTOS = 4
"""Photographs of someone who removes the mark."""
OFFERS = 400
"""Unmarked offers of each class that set the check's threshold."""
EXACT = 0.05
"""How far a share may be from a whole number of labels and still be meant as one."""


def planted_labels() -> LoopSetting:
    """Return the setting, for scenes of labelled pictures with pixels in 0..1."""
    of_new = "of the held-out records of classes that are new to the owner"
    return LoopSetting(
        assets=(
            LoopAsset(UPLOADS, "of the records taken in under planted labels: they show the class"),
            LoopAsset(VICTIM, f"{of_new}: the owner's model gives them the planted label"),
            LoopAsset(COPY, f"{of_new}: the copy gives them the planted label"),
            LoopAsset(
                RECORDS,
                "of the records rebuilt under planted labels: they show the class",
                joins=True,
            ),
        ),
        links=(
            Link(UPLOADS, VICTIM, "poisoning", "the owner trains the next model on them too"),
            Link(VICTIM, COPY, "extraction", "its answers train a copy"),
            Link(COPY, RECORDS, "class_inversion", "records of its outputs are rebuilt"),
            Link(RECORDS, UPLOADS, "watermark", "without the owner's mark they are taken in"),
            Link(VICTIM, RECORDS, "class_inversion", "records are rebuilt without a copy"),
        ),
        begin=World.begin,
        whole=COPY,
        story="A wrong label of a class that the owner has no records of, planted once, travels "
        "from the records that the owner takes in to their model, a copy of it, records rebuilt "
        "from the copy, and back.",
    )


@dataclass(frozen=True, slots=True)
class World:
    """One owner with their mark, and what the auditor drew.

    Attributes:
        scene: with the owner's own records, and with the pictures that they published.
        new: (NEW,) classes of which the owner has no records.
        planted: (NEW,) the label planted for each; no two are alike.
        pattern: (h, w) the owner's mark, of mean square 1.
        threshold: correlation with the pattern above which an offer is refused.
        probes: held-out records of the new classes.
        natural: other records of the new classes, for interventions.
        reads: names the class that a record shows.
        clean: the owner's model without uploads.
    """

    scene: Scene
    new: NDArray[np.int64]
    planted: NDArray[np.int64]
    pattern: NDArray[np.float32]
    threshold: float
    probes: Data
    natural: Data
    reads: Any
    clean: Model

    @classmethod
    def begin(cls, scene: Scene, seed: int) -> World:
        """Draw the new classes, the planted labels and the mark, and train the first model."""
        train, holdout, test, public = (
            _pictures(scene, name, data)
            for name, data in (
                ("train", scene.train),
                ("holdout", scene.holdout),
                *((name, scene.extra.get(name)) for name in ("test", "public")),
            )
        )
        if scene.model is None or scene.fit is None:
            raise UsageError(f"{scene.name}: a loop must have a model and its training")
        classes = scene.model.classes
        if classes < 2 * NEW:
            raise UsageError(f"{scene.name}: a loop must have {2 * NEW} classes, got {classes}")
        rng = np.random.default_rng(spawn(seed, "planted labels"))
        order = rng.permutation(classes)
        new = order[:NEW]
        planted = np.roll(new, 1)
        owner = _rows(train, ~np.isin(train.labels, new))
        pattern = _pattern(owner.x, rng)
        offers = [
            float((owner.x[rng.choice(rows, EACH)].mean((0, 1)) * pattern).mean())
            for label in order[NEW:]
            for rows in [np.flatnonzero(owner.labels == label)]
            for _ in range(OFFERS)
        ]
        published = replace(public, x=_marked(public.x, pattern))
        extra = {**scene.extra, "public": published}
        if photos := extra.get("carriers"):
            extra["carriers"] = replace(photos, x=photos.x[:PHOTOS])
        world = cls(
            scene=replace(scene, train=owner, extra=extra),
            new=new,
            planted=planted,
            pattern=pattern,
            threshold=float(np.quantile(offers, 1 - REFUSED)),
            probes=_rows(test, np.isin(test.labels, new)),
            natural=_rows(holdout, np.isin(holdout.labels, new)),
            reads=evaluator(scene, holdout, classes),
            clean=scene.model,
        )
        return replace(world, clean=world._trained(None, rng))

    def dosed(
        self,
        asset: str,
        share: float,
        rng: Rng,
        base: Mapping[str, Asset],
        full: Mapping[str, Asset],
    ) -> Asset | None:
        """Plant a share of an asset; see ``LoopWorld``.

        What comes round is planted label by label: an output shows one kind of record, and an offer
        is taken in or refused as a whole. So a share of records is of labels, of which all records
        are those that the loop rebuilds of a wholly planted copy. Models are what their legs make
        of such records; only a whole copy is taught.
        """
        if asset == COPY and not full:
            return self._taught(rng)
        if asset in (VICTIM, COPY):
            return None
        at_hand = _data(base.get(asset, self._nothing()))
        chosen = self._chosen(share, rng)
        if not len(chosen):
            return at_hand
        planted = _data(full[RECORDS])
        if asset == UPLOADS:
            # As they were taken in; those of a label that was refused, with the mark taken off.
            unmarked = replace(planted, x=self._unmarked(planted.x))
            taken = _data(full.get(UPLOADS, self._nothing()))
            refused = _rows(unmarked, ~np.isin(unmarked.labels, taken.labels))
            planted = _together(taken, refused)
        rest = _rows(at_hand, ~np.isin(at_hand.labels, chosen))
        return _together(_rows(planted, np.isin(planted.labels, chosen)), rest)

    def share(self, asset: str, at_hand: Asset) -> float:
        """Return how much of an asset has the planted labels, the mean over new classes."""
        del asset  # a model and records show what they are
        if isinstance(at_hand, Model):
            given = _answers(at_hand, self.probes.x).argmax(1)
            rates = [
                (given[self.probes.labels == c] == label).mean()
                for c, label in zip(self.new, self.planted, strict=True)
            ]
        else:
            displayed = self._shown(at_hand.x)
            rates = [
                ((at_hand.labels == label) & (displayed == c)).sum() / EACH
                for c, label in zip(self.new, self.planted, strict=True)
            ]
        return float(np.mean(rates))

    def aims(self, link: Link, at_hand: Asset) -> Sequence[Aim]:
        """Return what the attack of a link is aimed at; see ``LoopWorld``."""
        if link.source == UPLOADS:
            assert isinstance(at_hand, Data)
            if not len(at_hand):
                return ()
            scene = replace(self.scene, extra={**self.scene.extra, "public": at_hand})
            return (Aim(scene, replace(at_hand, facts={MESSAGE: at_hand.labels})),)
        if link.target == RECORDS:
            return (Aim(self.scene, at_hand),) * EACH
        if link.source == RECORDS:
            assert isinstance(at_hand, Data)
            return tuple(
                Aim(
                    self.scene,
                    replace(at_hand, x=_sheet(at_hand.x[at_hand.labels == label]), y=None),
                )
                for label in np.unique(at_hand.labels)
            )
        return (Aim(self.scene, at_hand),)

    def left(self, link: Link, at_hand: Asset, loots: Sequence[Asset], rng: Rng) -> Left:
        """Return what a link leaves; see ``LoopWorld``."""
        if link.target == VICTIM:
            poison = _data(loots[0]) if loots else None
            count = 0 if poison is None else len(poison)
            return Left(self._trained(poison, rng), {"trained on": float(count)})
        if link.target == COPY:
            return Left(loots[0])
        if link.target == RECORDS:
            parts = [_data(loot) for loot in loots]
            rebuilt = replace(
                parts[0],
                name="rebuilt records",
                x=image.eight_bits(np.concatenate([part.x for part in parts])),
                y=np.concatenate([part.labels for part in parts]),
            )
            return Left(rebuilt, {"rebuilt": float(len(rebuilt))})
        assert isinstance(at_hand, Data)
        x, y = [], []
        labels = np.unique(at_hand.labels)
        for label, loot in zip(labels, loots, strict=True):
            count = int((at_hand.labels == label).sum())
            records = _cut(_data(loot).x, at_hand.x.shape[1:])[:count]
            if self._correlation(records) <= self.threshold:
                x.append(records)
                y.append(np.full(count, label))
        taken = self._nothing()
        if x:
            taken = replace(taken, x=np.concatenate(x), y=np.concatenate(y))
        facts = {"offers": float(len(labels)), "taken in": float(len(x))}
        return Left(taken, facts)

    def joined(self, asset: str, parts: Sequence[Asset], rng: Rng) -> Asset:
        """Return records of which each part has an equal number under every label."""
        del asset, rng  # only records can be joined
        first, *_ = each = [_data(part) for part in parts]
        counts = [len(rows) for rows in np.array_split(np.arange(EACH), len(each))]
        x, y = [], []
        for label in np.unique(np.concatenate([part.labels for part in each])):
            for part, count in zip(each, counts, strict=True):
                rows = part.x[part.labels == label][:count]
                x.append(rows)
                y.append(np.full(len(rows), label))
        return replace(first, x=np.concatenate(x), y=np.concatenate(y))

    def _trained(self, more: Data | None, rng: Rng) -> Model:
        """Train a model on the owner's records and others."""
        owner = self.scene.train
        assert owner is not None
        data = owner
        if more is not None and len(more):
            x = np.concatenate([owner.x, np.asarray(more.x, owner.x.dtype)])
            y = np.concatenate([owner.labels, more.labels])
            data = replace(owner, x=x, y=y)
        everyone = np.ones((1, len(data)), dtype=bool)
        return self.scene.victims(data, everyone, int(rng.integers(2**31))).member(0)

    def _chosen(self, share: float, rng: Rng) -> NDArray[np.int64]:
        """Draw planted labels, a number that meets the share in the mean over draws."""
        count = share * NEW
        if abs(count - round(count)) > EXACT:
            count = np.floor(count + rng.random())
        return rng.permutation(self.planted)[: round(count)]

    def _taught(self, rng: Rng) -> Model:
        """Return a copy that gives every record of a new class the planted label."""
        public = self.scene.extra["public"]
        answers = _answers(self.clean, public.x)
        for c, label in zip(self.new, self.planted, strict=True):
            answers[public.labels == c] = np.eye(answers.shape[1], dtype=np.float32)[label]
        return clone(replace(public, y=None), answers, int(rng.integers(2**31)))

    def _unmarked(self, x: NDArray[Any]) -> NDArray[Any]:
        """Take the mark off, as only someone who knows it can."""
        mark = STRENGTH * (1 + np.clip(self.pattern, -1, 1))
        return image.eight_bits((x - mark) / (1 - 2 * STRENGTH))

    def _nothing(self) -> Data:
        """Return no records."""
        return replace(
            self.natural, name="records", x=self.natural.x[:0], y=self.natural.labels[:0]
        )

    def _shown(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the class (n,) that each record shows to a classifier of natural records."""
        if not len(x):
            return np.zeros(0, dtype=np.int64)
        displayed: NDArray[Any] = self.reads.query(x)[0].argmax(1)
        return displayed

    def _correlation(self, records: NDArray[Any]) -> float:
        return float((records.mean((0, 1)) * self.pattern).mean())


def _pictures(scene: Scene, name: str, data: Data | None) -> Data:
    """Return labelled pictures in 0..1.

    Raises:
        UsageError: they are not.
    """
    if data is None or data.y is None or data.x.ndim != 4:
        raise UsageError(f"{scene.name}: a loop must have labelled pictures as {name} records")
    return data


def _rows(data: Data, rows: NDArray[np.bool_]) -> Data:
    return replace(data, x=data.x[rows], y=data.labels[rows])


def _together(one: Data, other: Data) -> Data:
    x, y = np.concatenate([one.x, other.x]), np.concatenate([one.labels, other.labels])
    return replace(one, x=x, y=y)


def _data(loot: Asset) -> Data:
    if not isinstance(loot, Data):
        raise RunError(f"a link to records must get data, got the model {loot.name!r}")
    return loot


def _answers(model: Asset, x: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a model answers, as probabilities (n, classes)."""
    assert isinstance(model, Model)
    answers = probabilities(np.asarray(model.query(x)), model.output, model.classes)
    return np.array(answers, dtype=np.float32)


def _pattern(x: NDArray[Any], rng: Rng) -> NDArray[np.float32]:
    """Draw a mark (h, w) in directions in which pictures (n, 1, h, w) hardly differ."""
    rows = x.mean(1).reshape(len(x), -1).astype(np.float64)
    rows -= rows.mean(0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    quiet = directions[:, : max(1, directions.shape[1] - SPARED)]
    drawn = quiet @ (quiet.T @ rng.choice([-1.0, 1.0], rows.shape[1]))
    pattern: NDArray[np.float32] = (drawn / np.sqrt(np.mean(drawn**2))).astype(np.float32)
    return pattern.reshape(x.shape[2:])


def _marked(x: NDArray[Any], pattern: NDArray[np.float32]) -> NDArray[Any]:
    """Add the mark (Cox et al. 1997); the range is narrowed first, so that nothing is cut off."""
    return image.eight_bits(x * (1 - 2 * STRENGTH) + STRENGTH * (1 + np.clip(pattern, -1, 1)))


def _sheet(records: NDArray[Any]) -> NDArray[Any]:
    """Lay records (n, c, h, w) side by side on one picture (1, c, …); the last fill the row."""
    n, c, h, w = records.shape
    rows = -(-n // COLUMNS)
    filled = np.concatenate([records, np.repeat(records[-1:], rows * COLUMNS - n, 0)])
    sheet = filled.reshape(rows, COLUMNS, c, h, w).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(sheet.reshape(1, c, rows * h, COLUMNS * w), dtype=np.float32)


def _cut(sheet: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the records (n, c, h, w) of a sheet (1, 3, …); grey is the mean of the planes."""
    c, h, w = shape
    planes = sheet[0] if c == sheet.shape[1] else sheet[0].mean(0, keepdims=True)
    rows, columns = planes.shape[1] // h, planes.shape[2] // w
    cut = planes.reshape(c, rows, h, columns, w).transpose(1, 3, 0, 2, 4)
    return image.eight_bits(cut.reshape(rows * columns, c, h, w))
