"""Pictures with captions as a dual encoder gets them: features, a split, and what is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, spawn
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.games.alignment.caption_words import written_again
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders
from hartley.games.alignment.pair_encoders import pairs as as_pairs
from hartley.kit.cache import cached
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.language import text
from hartley.kit.perturbation import Perturbation
from hartley.kit.vision.image import as_file
from hartley.models import efficientnet
from hartley.models.encoders import embedded, once_each
from hartley.models.minilm import minilm, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST, CLEAN, PUBLIC = (386, 4), (250, 6), (64, 20)
"""Groups that are held out to be asked about, for the owner's filter, and for the attacker: how
many at most, and one of how many of all. A group is a caption with its pictures, and with every
caption that one of them also has."""

LEAST = 256
"""Groups of a user's own pictures, at least: 64 are held out to be asked about."""

LONGEST = 24
"""Tokens that are read of a caption."""

EPSILON = 4 / 255
"""Largest change of a pixel by an attacker."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """All held-out pictures, each once.

    Attributes:
        pictures: their records, each with a caption of the picture.
        captions: the records of all held-out captions, each once.
        right: (pictures, captions) whether a caption is one of a picture's.
        units: (pictures,) the group of each.
    """

    pictures: Data
    captions: Data
    right: NDArray[np.bool_]
    units: NDArray[np.int64]

    def recall(self, model: hartley.Model) -> dict[str, Figure]:
        """Return the shares of pictures whose caption is the nearest, or one of ten.

        Captions at the same distance as a picture's own count as nearer. The group is the unit of
        the intervals: pictures of one caption are not independent.
        """
        embeddings = np.asarray(model.query(self.pictures.x))
        half = embeddings.shape[1] // 2
        alike = embeddings[:, :half] @ np.asarray(model.query(self.captions.x))[:, half:].T
        best = np.where(self.right, alike, -np.inf).max(1)
        rank = ((alike >= best[:, None]) & ~self.right).sum(1)
        sizes = np.bincount(self.units)
        return {
            f"recall_at_{k}": mean_figure(np.bincount(self.units, rank < k), sizes) for k in (1, 10)
        }


class Source:
    """Pictures with captions, and the way from them to features.

    Pictures that share pixels, a caption, a stem of a name or two tags and more are one group.
    """

    def __init__(self, source: paired.Captioned) -> None:
        self.pictures = source.pictures
        self.captions, self.numbers = np.unique(source.captions, return_inverse=True)
        self.alike = paired.alike_pictures(self.pictures)
        stems, tags = paired.alike_captions(
            [str(caption) for caption in self.captions], numbered=source.numbered
        )
        of_captions = (self.numbers, stems[self.numbers], tags[self.numbers])
        self.groups = paired.groups_of(self.alike, *of_captions)
        every = text.pad([words().encode(str(caption))[:LONGEST] for caption in self.captions])
        every = written_again(every, text.codec(words()), LONGEST)
        self.tokens = every[self.numbers]

        def build() -> dict[str, NDArray[Any]]:
            return {"x": efficientnet.efficientnet().query(as_planes(self.pictures))}

        code, key = efficientnet.pulled_back, ["pictures", 1, self.pictures]
        self.plain = cached("embeddings", key, build, code=code)["x"]
        # Mean and deviation are taken over all pictures and depend on no caption.
        self.mean, self.spread = self.plain.mean(0), self.plain.std(0) + 1e-3
        self.sentences = embedded(minilm(), every)[self.numbers]
        self.split = self.plain.shape[1]

    def dealt(self, seed: int) -> dict[str, NDArray[np.int64]]:
        """Return the numbers of the pictures of each part, as ``parts_of`` deals them."""
        names = tuple(str(self.captions[number]) for number in self.numbers)
        return parts_of(self.groups, self.alike, seed, names)

    def gallery(self, pictures: Data, rows: NDArray[np.int64]) -> Gallery:
        """Return what a held-out picture is searched in.

        Args:
            pictures: records of the pictures ``rows``.
            rows: their numbers.
        """
        members = np.flatnonzero(np.isin(self.groups, self.groups[rows]))
        numbers, first = np.unique(self.numbers[members], return_index=True)
        right = np.zeros((len(rows), len(numbers)), dtype=bool)
        place = {int(self.alike[row]): k for k, row in enumerate(rows)}
        for member in members:
            column = np.searchsorted(numbers, self.numbers[member])
            right[place[int(self.alike[member])], column] = True
        units = np.unique(self.groups[rows], return_inverse=True)[1].astype(np.int64)
        return Gallery(pictures, self.records("captions", members[first]), right, units)

    def records(self, name: str, rows: NDArray[np.int64]) -> Data:
        """Return features of both encoders, scaled to entries of about 1."""
        x = np.concatenate([self._scaled(self.plain[rows]), widened(self.sentences[rows])], 1)
        facts = {CAPTIONS: self.tokens[rows], "split": self.split}
        return Data(name, Modality.PAIRED, x.astype(np.float32), facts=facts)

    def encoders(self, parts: dict[str, NDArray[np.int64]]) -> PairEncoders:
        """Return the pictures and captions behind the parts of a scene, and their encoders."""
        rows = np.concatenate([parts["test"], parts["public"]])
        stored = as_planes(self.pictures[rows]), self._scaled(self.plain[rows])
        test, public = (
            as_pairs(name, as_planes(self.pictures[parts[name]]), self.tokens[parts[name]])
            for name in ("test", "public")
        )
        return PairEncoders(
            test,
            public,
            once_each(self._encoded, stored, most=1024),
            once_each(
                lambda tokens: widened(minilm().query(tokens[:, :LONGEST])),
                (self.tokens[rows], widened(self.sentences[rows])),
            ),
            lambda x, slope: efficientnet.pulled_back(as_file(x), slope / self.spread),
            words().size,
            text.codec(words()),
            Perturbation("linf", EPSILON),
            reads=LONGEST,
        )

    def _encoded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return self._scaled(efficientnet.efficientnet().query(as_file(x)))

    def _scaled(self, features: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray((features - self.mean) / self.spread, dtype=np.float32)


def parts_of(
    groups: NDArray[np.int64], alike: NDArray[np.int64], seed: int, captions: Sequence[str] = ()
) -> dict[str, NDArray[np.int64]]:
    """Return the row numbers of the pictures of each part; parts share no caption and no picture.

    Of each group that is not trained on there is one picture, drawn by chance: pairs of a part are
    then alike in law, as a calibration needs.

    Args:
        groups: (n,) the group of each picture.
        alike: (n,) equal where two pictures are.
        seed: of the deal.
        captions: of each picture, for the error: two that count once are named there.

    Raises:
        UsageError: there are too few groups.
    """
    rng = np.random.default_rng(spawn(seed, "parts", "retrieval"))
    count = int(groups.max()) + 1
    if count < LEAST:
        raise UsageError(
            f"retrieval must have {LEAST} captions of unlike things, got {count}: those of one "
            "picture, of two tags alike, or that differ in sex, age or number only count once"
            + _joined(groups, captions)
        )
    sizes = [min(most, count // of) for most, of in (TEST, CLEAN, PUBLIC)]
    order = np.split(rng.permutation(count), np.cumsum(sizes))
    shuffled = rng.permutation(len(groups))
    one_each = np.empty(count, np.int64)
    one_each[groups[shuffled]] = shuffled
    once = np.unique(alike, return_index=True)[1]
    return {
        "train": np.flatnonzero(np.isin(groups, order[3])),
        "clean": one_each[order[1]],
        "test": one_each[order[0]],
        "public": one_each[order[2]],
        "every test picture": np.sort(once[np.isin(groups[once], order[0])]),
    }


def _joined(groups: NDArray[np.int64], captions: Sequence[str]) -> str:
    """Return how two captions of one group are named in an error, or nothing."""
    first: dict[int, str] = {}
    for group, caption in zip(groups.tolist(), captions, strict=False):
        if first.setdefault(group, caption) != caption:
            return f", such as {first[group]!r} and {caption!r}"
    return ""


def as_planes(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (n, h, w, 3) as float32 (n, 3, h, w) from 0 to 1."""
    return np.asarray(pictures.transpose(0, 3, 1, 2) / np.float32(255), dtype=np.float32)


def widened(sentences: NDArray[Any]) -> NDArray[np.float32]:
    """Return unit vectors of captions scaled to entries of about 1."""
    return np.asarray(sentences * np.sqrt(sentences.shape[1]), dtype=np.float32)
