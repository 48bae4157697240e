"""Retrieval: a dual encoder that finds the caption of a picture, on two frozen encoders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Access, Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import paired
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders
from hartley.games.alignment.pair_encoders import pairs as as_pairs
from hartley.kit.cache import cached, digest
from hartley.kit.infonce_towers import Towers
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.language import text
from hartley.kit.perturbation import Perturbation
from hartley.models import efficientnet
from hartley.models.encoders import embedded, once_each
from hartley.models.minilm import minilm, words
from hartley.models.paired import CLOSED, DualEncoder

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

PACKS = (
    *("tuxpaint-stamps", "stamp-captions", "emoji", "emoji-twitter", "emoji-captions"),
    *("minilm", "efficientnet-lite0"),
)


@recipe(modality=Modality.PAIRED, packs=PACKS)
def retrieval(
    *,
    pairs: str = "",
    width: Annotated[int, Range(1)] = 512,
    epochs: Annotated[int, Range(0)] = 60,
    batch: Annotated[int, Range(2)] = 512,
    dropout: Annotated[float, Range(0, 1, open_high=True)] = 0.5,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Stamps and emoji of two vendors with captions: which caption belongs to a picture?

    Frozen EfficientNet-Lite0 and MiniLM, with projections trained by InfoNCE. A caption that is
    held out is so with all of its pictures, and with all other captions that these pictures also
    have. Attackers get gradients: both encoders are public, and
    what an owner trains on them is small.

    Args:
        pairs: a CSV file of your own pictures, with the columns picture (a file, relative to the
            list) and caption; empty for the stamps and emoji.
        width: dimension of the shared space.
        epochs: passes over the training pairs.
        batch: pairs per step.
        dropout: share of a picture's features that a step leaves out.
        seed: of the split and of the training.
    """
    source = _Source(paired.own(Path(pairs)) if pairs else paired.things())
    parts = source.dealt(seed)
    pipeline = DualEncoder(
        Towers(
            source.split, width, epochs, min(batch, len(parts["train"])), lr=2e-3, dropout=dropout
        ),
        offers=CLOSED | Access.GRADIENTS,
    )
    records = {name: source.records(name, rows) for name, rows in parts.items()}
    train = records["train"]
    model = pipeline.fit(train, np.ones((1, len(train)), dtype=bool), seed).member(0)
    model = replace(model, name="retrieval", reads=train.x.shape[1])
    encoders = source.encoders(parts)
    gallery = source.gallery(records["every test picture"], parts["every test picture"])
    return Scene(
        name="retrieval",
        modality=Modality.PAIRED,
        digest=digest(
            {
                "version": hartley.__version__,
                "pipeline": pipeline.recipe,
                "parts": {name: data.x for name, data in records.items()},
                "seed": seed,
            }
        ),
        model=model,
        train=train,
        holdout=records["clean"],
        fit=pipeline.fit,
        extra={"test": records["test"], "public": records["public"]},
        training=pipeline,
        parts=(encoders, gallery),
        utility=utility,
        settings=Settings(seed=seed),
        facts={
            **{f"test {k}": float(v) for k, v in gallery.recall(model).items()},
            **{f"{name} records": len(data) for name, data in records.items()},
            "test captions": len(records["test"]),
            **model.facts,
        },
    )


def utility(scene: Scene) -> dict[str, Figure]:
    """Return how often a held-out picture finds its caption among all held-out captions."""
    assert scene.model is not None
    return scene.part(_Gallery).recall(scene.model)


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery:
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


class _Source:
    """Pictures with captions, and the way from them to features."""

    def __init__(self, source: paired.Captioned) -> None:
        self.pictures = source.pictures
        self.captions, self.numbers = np.unique(source.captions, return_inverse=True)
        self.alike = paired.alike_pictures(self.pictures)
        self.groups = paired.groups_of(self.alike, self.numbers)
        every = text.pad([words().encode(str(caption))[:LONGEST] for caption in self.captions])
        self.tokens = every[self.numbers]

        def build() -> dict[str, NDArray[Any]]:
            return {"x": efficientnet.efficientnet().query(_as_planes(self.pictures))}

        self.plain = cached("embeddings", ["pictures", 1, self.pictures], build)["x"]
        # Mean and deviation are taken over all pictures and depend on no caption.
        self.mean, self.spread = self.plain.mean(0), self.plain.std(0) + 1e-3
        self.sentences = embedded(minilm(), every)[self.numbers]
        self.split = self.plain.shape[1]

    def dealt(self, seed: int) -> dict[str, NDArray[np.int64]]:
        """Return the numbers of the pictures of each part, as ``parts_of`` deals them."""
        return parts_of(self.groups, self.alike, seed)

    def gallery(self, pictures: Data, rows: NDArray[np.int64]) -> _Gallery:
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
        return _Gallery(pictures, self.records("captions", members[first]), right, units)

    def records(self, name: str, rows: NDArray[np.int64]) -> Data:
        """Return features of both encoders, scaled to entries of about 1."""
        x = np.concatenate([self._scaled(self.plain[rows]), _widened(self.sentences[rows])], 1)
        facts = {CAPTIONS: self.tokens[rows], "split": self.split}
        return Data(name, Modality.PAIRED, x.astype(np.float32), facts=facts)

    def encoders(self, parts: dict[str, NDArray[np.int64]]) -> PairEncoders:
        """Return the pictures and captions behind the parts of a scene, and their encoders."""
        rows = np.concatenate([parts["test"], parts["public"]])
        stored = _as_planes(self.pictures[rows]), self._scaled(self.plain[rows])
        test, public = (
            as_pairs(name, _as_planes(self.pictures[parts[name]]), self.tokens[parts[name]])
            for name in ("test", "public")
        )
        return PairEncoders(
            test,
            public,
            once_each(self._encoded, stored, most=1024),
            once_each(
                lambda tokens: _widened(minilm().query(tokens[:, :LONGEST])),
                (self.tokens[rows], _widened(self.sentences[rows])),
            ),
            lambda x, slope: efficientnet.pulled_back(_as_file(x), slope / self.spread),
            words().size,
            text.codec(words()),
            Perturbation("linf", EPSILON),
            reads=LONGEST,
        )

    def _encoded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        return self._scaled(efficientnet.efficientnet().query(_as_file(x)))

    def _scaled(self, features: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray((features - self.mean) / self.spread, dtype=np.float32)


def parts_of(
    groups: NDArray[np.int64], alike: NDArray[np.int64], seed: int
) -> dict[str, NDArray[np.int64]]:
    """Return the row numbers of the pictures of each part; parts share no caption and no picture.

    Of each group that is not trained on there is one picture, drawn by chance: pairs of a part are
    then alike in law, as a calibration needs.

    Args:
        groups: (n,) the group of each picture.
        alike: (n,) equal where two pictures are.
        seed: of the deal.

    Raises:
        UsageError: there are too few groups.
    """
    rng = np.random.default_rng(spawn(seed, "parts", "retrieval"))
    count = int(groups.max()) + 1
    if count < LEAST:
        raise UsageError(f"retrieval must have {LEAST} different captions, got {count}")
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


def _as_file(x: NDArray[Any]) -> NDArray[np.float32]:
    """Return pictures from 0 to 1 as a file rounds them."""
    return np.asarray(np.rint(np.asarray(x) * 255) / np.float32(255), dtype=np.float32)


def _as_planes(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pictures uint8 (n, h, w, 3) as float32 (n, 3, h, w) from 0 to 1."""
    return np.asarray(pictures.transpose(0, 3, 1, 2) / np.float32(255), dtype=np.float32)


def _widened(sentences: NDArray[Any]) -> NDArray[np.float32]:
    """Return unit vectors of captions scaled to entries of about 1."""
    return np.asarray(sentences * np.sqrt(sentences.shape[1]), dtype=np.float32)
