"""Watermarks of any modality: what an owner embeds, reads back, and says about a suspect item.

A :class:`Marker` hides a keyed message of m bits in an item, or only its presence (``bits`` = 0).
An item is a picture (3, h, w) in 0..1, a wave (samples,), a text, the adjacency (v, v) of a graph,
a table (rows, columns). A reader needs the key and nothing else. What the owner says about a
suspect item is a :class:`Detection`: its p-value is exact or a union bound, not normal, and an item
that is too short for the test is *undecided*, never unmarked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, Model, Output, spawn
from hartley.core.errors import UsageError
from hartley.infotheory.surprisal import log2_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FALSE_ALARMS = 1e-3
"""Rate of false alarms at which an owner says that an item has their watermark."""

Embed = Callable[[Any, "NDArray[Any]", int, "Rng"], Any]
Soft = Callable[[Any, int, int], "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Detection:
    """What an owner reads of their watermark in one item.

    Attributes:
        score: larger, more like marked; 0 where it is undecided.
        log2_p: log2 of the chance of this score or a larger one in an item without the watermark,
            over fresh keys: exact, or a union bound (never too small) where the reader tries
            several places, keys or messages; 0 where it is undecided.
        units: what the test counted: bits, tokens, coefficients.
        undecided: why the item cannot be tested; empty where it was.
        least_log2_p: the smallest ``log2_p`` that the test could have said of this item.
    """

    score: float
    log2_p: float
    units: int = 0
    undecided: str = ""
    least_log2_p: float = -math.inf

    def marked(self, rate: float = FALSE_ALARMS) -> bool | None:
        """Whether the item has the watermark at a rate of false alarms; None: undecided."""
        return None if self.undecided else self.log2_p <= math.log2(rate)


def _as_it_is(item: Any, rng: Rng) -> Any:
    del rng
    return item


def _always(*_: Any) -> bool:
    return True


def _certain(*_: int) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class Marker:
    """A watermark scheme.

    Attributes:
        name: what to call it in reports.
        embed: (item, message (m,), key, rng) → the marked item as a file holds it. Where the mark
            is put in as a text is written, the item is its prompt (``generates``). The message of
            a zero-bit mark is empty.
        soft: (item, key, m) → (m,) real numbers, positive = the bit reads 1, NaN = not readable;
            None for a zero-bit mark.
        modality: of its items.
        bits: usual length of the message; 0: it has none, and says presence alone.
        detect: (item, key) → Detection, exact over fresh keys, whatever the message; None where
            presence is read off the message (``verify``).
        test: (item, key, message (m,)) → Detection of a message that the owner knows, exact over
            fresh keys, by all that carries it; None: by its bits alone (``matched``).
        accept: (item, key, m) → the message if the item passes the scheme's own check (a checksum,
            a code word near enough), else None; None where every message is taken.
        chance: m → chance that ``accept`` takes some message from a random item: exact, or a bound
            from above.
        plain: (item, rng) → what the owner publishes without the watermark; of a text, its
            continuation.
        generates: whether it writes the item, so that there is no original to compare with.
        embed_all: (items, messages, keys, rng) → the published items, many at once, where that is
            faster; a key of None stands for ``plain``. None: one after another.
        facts: its parameters.
        fits: (item, m) → whether an item holds a message of m bits.
        key_shows: whether soft bits are larger under the key that an item was marked under than
            under others; not where a key only turns bits or says where they are.
        usual: the mark that someone who knows of no defense takes for this one; None: this one.
            Defenses that exchange or wrap a mark name the one before them.

    Raises:
        TypeError: it says neither a message nor presence.
    """

    name: str
    embed: Embed
    soft: Soft | None = None
    facts: tuple[tuple[str, Any], ...] = ()
    fits: Callable[[Any, int], bool] = _always
    modality: Modality = Modality.VISION
    bits: int = 32
    detect: Callable[[Any, int], Detection] | None = None
    test: Callable[[Any, int, NDArray[Any]], Detection] | None = None
    accept: Callable[[Any, int, int], NDArray[Any] | None] | None = None
    chance: Callable[[int], float] = _certain
    plain: Callable[[Any, Rng], Any] = _as_it_is
    generates: bool = False
    embed_all: (
        Callable[[Sequence[Any], Sequence[NDArray[Any]], Sequence[int | None], Rng], Sequence[Any]]
        | None
    ) = None
    key_shows: bool = True
    usual: Marker | None = None

    def __post_init__(self) -> None:
        if (self.soft is None) != (self.bits == 0) or (self.bits == 0 and self.detect is None):
            raise TypeError(
                f"marker {self.name}: it must have soft where bits > 0, and detect and no soft "
                f"where bits = 0, got bits = {self.bits}"
            )

    @property
    def undefended(self) -> Marker:
        """The mark that someone who knows of no defense takes for this one."""
        return self.usual or self

    def read(self, item: Any, key: int, m: int) -> NDArray[Any]:
        """Return the (m,) soft bits of an item; NaN where a bit cannot be read."""
        assert self.soft is not None, f"{self.name} has no message"
        return np.asarray(self.soft(item, key, m), dtype=np.float64)

    def decode(self, item: Any, key: int, m: int) -> NDArray[Any]:
        """Return the (m,) bits that the owner reads in an item, −1 where one cannot be read."""
        return hard(self.read(item, key, m))

    def verify(self, item: Any, key: int, message: NDArray[Any]) -> Detection:
        """Test whether an item has the watermark with a message that the owner knows.

        Without a test of the mark's own it is of the bits: in an item that was not marked under
        this key they are fair and independent over fresh keys, so that the count of right ones is
        binomial. Without a message the test is that of presence.
        """
        if self.bits == 0 or not len(message):
            if self.detect is not None:
                return self.detect(item, key)
            return presence(self).verify(item, key, message)
        if self.test is not None:
            return self.test(item, key, message)
        return matched(self.read(item, key, len(message)), message)


def hard(soft: NDArray[Any]) -> NDArray[Any]:
    """Return the bits of soft ones: 1 where positive, −1 where NaN."""
    return np.where(np.isnan(soft), -1, soft > 0).astype(np.int64)


def matched(soft: NDArray[Any], message: NDArray[Any]) -> Detection:
    """Return the binomial test of soft bits against a message; unreadable bits do not count.

    Fewer bits than the rate of false alarms takes, all right, would not be enough: undecided.
    """
    readable = ~np.isnan(soft)
    n = int(readable.sum())
    if not n:
        return Detection(0.0, 0.0, 0, "no bit can be read")
    if -n > math.log2(FALSE_ALARMS):
        return Detection(0.0, 0.0, n, f"undecided at {n} bits")
    right = (soft[readable] > 0) == (np.asarray(message)[readable] == 1)
    signs = np.where(np.asarray(message)[readable] == 1, 1.0, -1.0)
    score = float(np.mean(np.tanh(soft[readable]) * signs))
    log2_p = log2_binomial_tail(int(right.sum()), n, 0.5)
    return Detection(score, log2_p, n, least_log2_p=float(-n))


def presence(marker: Marker) -> Marker:
    """Use a mark with a message as one of presence alone: the message is drawn from the key.

    What is tested is that message, by a test of the mark's own where it has one; else ``detect``,
    such as that of pilots; else the bits of the message.
    """
    if marker.bits == 0:
        return marker
    m = marker.bits

    def message(key: int) -> NDArray[Any]:
        return np.random.default_rng(spawn(key, "presence")).integers(0, 2, m)

    def embed(item: Any, empty: NDArray[Any], key: int, rng: Rng) -> Any:
        del empty
        return marker.embed(item, message(key), key, rng)

    def embed_all(items: Any, messages: Any, keys: Sequence[int | None], rng: Rng) -> Any:
        drawn = [
            one if key is None else message(key) for one, key in zip(messages, keys, strict=True)
        ]
        assert marker.embed_all is not None
        return marker.embed_all(items, drawn, keys, rng)

    def detect(item: Any, key: int) -> Detection:
        if marker.test is None and marker.detect is not None:
            return marker.detect(item, key)
        return marker.verify(item, key, message(key))

    return replace(
        marker,
        name=f"{marker.name} presence",
        embed=embed,
        soft=None,
        bits=0,
        detect=detect,
        test=None,
        accept=None,
        fits=lambda item, _: marker.fits(item, m),
        embed_all=None if marker.embed_all is None else embed_all,
    )


def voting(marker: Marker, votes: int) -> Marker:
    """Repeat the message in each item, and let every bit be the majority of its copies.

    Raises:
        TypeError: the mark has no message.
    """

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        return marker.embed(item, np.tile(message, votes), key, rng)

    def embed_all(items: Any, messages: Any, keys: Any, rng: Rng) -> Any:
        assert marker.embed_all is not None
        return marker.embed_all(items, [np.tile(one, votes) for one in messages], keys, rng)

    def soft(item: Any, key: int, m: int) -> NDArray[Any]:
        copies = marker.read(item, key, votes * m).reshape(votes, m)
        # A hard vote: one copy that an attack drove far must not outvote the others.
        counted = np.where(np.isnan(copies), 0.0, np.sign(copies)).sum(0)
        # A tie goes to the more certain copies.
        tie = counted == 0
        counted[tie] = 0.5 * np.tanh(np.nansum(copies[:, tie], axis=0))
        return np.where(np.isnan(copies).all(0), np.nan, counted)

    def test(item: Any, key: int, message: NDArray[Any]) -> Detection:
        assert marker.test is not None
        return marker.test(item, key, np.tile(message, votes))

    if marker.bits == 0:
        raise TypeError(f"voting is about the bits of a message: {marker.name} has none")
    return replace(
        marker,
        name=f"{marker.name}, {votes} votes",
        embed=embed,
        soft=soft,
        detect=None,
        test=None if marker.test is None else test,
        accept=None,
        fits=lambda item, m: marker.fits(item, votes * m),
        embed_all=None if marker.embed_all is None else embed_all,
        facts=(*marker.facts, ("votes", votes)),
        usual=marker.undefended,
    )


def multi_keyed(marker: Marker, keys: int) -> Marker:
    """Mark each item under one of several keys of the owner, and read it under all of them.

    Several items of one owner then do not add up for an attacker who averages them. The message is
    that of the key whose bits are most certain, a choice that does not look at the message;
    presence is the smallest p-value times the number of keys. Where a reading does not show
    its key, each message is followed by a tag of the key (``tagged``).

    Raises:
        UsageError: the mark has no room for a tag that it needs.
    """
    usual = marker.undefended
    if marker.soft is not None and not marker.key_shows:
        marker = tagged(marker)

    def each(key: int) -> list[int]:
        return [spawn(key, "one of many keys", str(k)) for k in range(keys)]

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        return marker.embed(item, message, each(key)[int(rng.integers(keys))], rng)

    def embed_all(items: Any, messages: Any, given: Sequence[int | None], rng: Rng) -> Any:
        assert marker.embed_all is not None
        drawn = [None if k is None else each(k)[int(rng.integers(keys))] for k in given]
        return marker.embed_all(items, messages, drawn, rng)

    return replace(
        read_under(marker, lambda _, key: each(key), keys),
        name=f"{marker.name}, {keys} keys",
        embed=embed,
        embed_all=None if marker.embed_all is None else embed_all,
        facts=(*marker.facts, ("keys", keys)),
        usual=usual,
    )


def tagged(marker: Marker, length: int = 16) -> Marker:
    """Let each message be followed by bits that its key draws, so that a reading shows its key.

    Soft bits are scaled by how many of these bits are right: the largest are those of the key that
    the item was marked under. The usual message is as many bits shorter.

    Raises:
        UsageError: it is no longer than the tag.
    """
    if marker.bits <= length:
        raise UsageError(
            f"{marker.name}: a reading does not show its key, and {marker.bits} bits have no room "
            f"for a tag of {length}; take a longer message, or presence by a detector that says it"
        )

    def tag(key: int) -> NDArray[Any]:
        return np.random.default_rng(spawn(key, "tag of a key")).integers(0, 2, length)

    def followed(message: NDArray[Any], key: int) -> NDArray[Any]:
        return np.concatenate([np.asarray(message, np.int64), tag(key)])

    def embed(item: Any, message: NDArray[Any], key: int, rng: Rng) -> Any:
        return marker.embed(item, followed(message, key), key, rng)

    def embed_all(items: Any, messages: Any, keys: Sequence[int | None], rng: Rng) -> Any:
        assert marker.embed_all is not None
        pairs = zip(messages, keys, strict=True)
        longer = [one if key is None else followed(one, key) for one, key in pairs]
        return marker.embed_all(items, longer, keys, rng)

    def soft(item: Any, key: int, m: int) -> NDArray[Any]:
        bits = marker.read(item, key, m + length)
        right = float(np.mean(hard(bits[m:]) == tag(key)))
        size = float(np.nanmean(np.abs(bits))) if (~np.isnan(bits)).any() else 1.0
        scaled: NDArray[Any] = bits[:m] / max(size, 1e-12) * (0.1 + right)
        return scaled

    def test(item: Any, key: int, message: NDArray[Any]) -> Detection:
        assert marker.test is not None
        return marker.test(item, key, followed(message, key))

    def accept(item: Any, key: int, m: int) -> NDArray[Any] | None:
        assert marker.accept is not None
        taken = marker.accept(item, key, m + length)
        return None if taken is None or (taken[m:] != tag(key)).any() else taken[:m]

    return replace(
        marker,
        embed=embed,
        soft=soft,
        test=None if marker.test is None else test,
        accept=None if marker.accept is None else accept,
        chance=lambda m: marker.chance(m + length),
        fits=lambda item, m: marker.fits(item, m + length),
        embed_all=None if marker.embed_all is None else embed_all,
        facts=(*marker.facts, ("tag of the key", length)),
        bits=marker.bits - length,
        key_shows=True,
    )


def read_under(marker: Marker, keys: Callable[[Any, int], Sequence[int]], count: int) -> Marker:
    """Return a mark that is read under several keys, and embedded as before.

    Args:
        marker: the mark.
        keys: (item, the owner's key) → the keys that it is read under.
        count: how many these are; the chance that a message is accepted is multiplied by it.
    """

    def soft(item: Any, key: int, m: int) -> NDArray[Any]:
        return most_certain([marker.read(item, one, m) for one in keys(item, key)])

    def detect(item: Any, key: int) -> Detection:
        assert marker.detect is not None
        return smallest([marker.detect(item, one) for one in keys(item, key)])

    def test(item: Any, key: int, message: NDArray[Any]) -> Detection:
        assert marker.test is not None
        return smallest([marker.test(item, one, message) for one in keys(item, key)])

    def accept(item: Any, key: int, m: int) -> NDArray[Any] | None:
        assert marker.accept is not None
        messages = (marker.accept(item, one, m) for one in keys(item, key))
        return next((message for message in messages if message is not None), None)

    return replace(
        marker,
        soft=None if marker.soft is None else soft,
        detect=None if marker.detect is None else detect,
        test=None if marker.test is None else test,
        accept=None if marker.accept is None else accept,
        chance=lambda m: min(1.0, count * marker.chance(m)),
    )


def most_certain(soft: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the soft bits, of several readings, whose mean size is largest."""
    sizes = [float(np.nanmean(np.abs(s))) if (~np.isnan(s)).any() else -1.0 for s in soft]
    return soft[int(np.argmax(sizes))]


def smallest(detections: Sequence[Detection]) -> Detection:
    """Return the detection of smallest p-value, times the number of those that were decided.

    It is undecided where none of them, so multiplied, could reach the rate of false alarms.
    """
    decided = [one for one in detections if not one.undecided]
    if not decided:
        return detections[0]
    times = math.log2(len(decided))
    least = min(one.least_log2_p for one in decided) + times
    if least > math.log2(FALSE_ALARMS):
        units = max(one.units for one in decided)
        reason = f"undecided at {units} units under {len(decided)} keys"
        return Detection(0.0, 0.0, units, reason)
    best = min(decided, key=lambda one: one.log2_p)
    return replace(best, log2_p=min(0.0, best.log2_p + times), least_log2_p=least)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How owners share the rounds of a deal.

    Attributes:
        owners: owners among whom a deal shares its rounds, each with one key for all of their
            items; 0: each round has an owner of its own. Fewer owners save marking their other
            items where that is dear. Rounds of one owner are one cluster, so that intervals are
            over owners.
        by_item: whether rounds on one carrier, or on carriers of one label, are one cluster, where
            they serve in several: how well a picture holds a mark is much the same each time that
            it is marked, and crops of one photograph are alike.
    """

    owners: int = 0
    by_item: bool = False


@dataclass(frozen=True, slots=True)
class DetectionService:
    """The owner's detector as others may query it: marked or not, and how surely.

    Attributes:
        changes: what defenses do to it, oldest first: (model, which model) → model.
    """

    changes: tuple[Callable[[Model, str], Model], ...] = field(default=())

    def defended(self, change: Callable[[Model, str], Model]) -> DetectionService:
        """Return the service behind one more defense of a model's answers."""
        return DetectionService((*self.changes, change))

    def model(self, detect: Callable[[Any], Detection], modality: Modality, who: str) -> Model:
        """Return the detector of one owner, as a classifier of items.

        Args:
            detect: what the owner reads of one item.
            modality: of the items.
            who: a name of this detector, for noise that is fixed by it.

        Returns:
            A model whose logits (n, 2) are 0 for unmarked and, for marked, the binary digits by
            which the p-value is below the owner's rate of false alarms; what is undecided is as
            unmarked as can be.
        """
        rate = math.log2(FALSE_ALARMS)

        def logit(item: Any) -> float:
            detection = detect(item)
            if detection.undecided:
                return rate
            # Between equal counts the score decides: a count alone has few values.
            margin = rate - detection.log2_p
            return margin + 1e-3 * math.tanh(detection.score) if abs(margin) > 1e-3 else margin

        def query(items: Any) -> NDArray[Any]:
            margins = np.array([logit(item) for item in items], dtype=np.float64).reshape(-1)
            # As ``Detection.marked``: marked at the rate itself.
            return np.stack([np.zeros(len(margins)), np.nextafter(margins, np.inf)], axis=1)

        model = Model("detector", modality, query, Output.LOGITS, 2)
        for change in self.changes:
            model = change(model, who)
        return model
