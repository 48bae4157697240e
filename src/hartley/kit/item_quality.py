"""How near a changed item is to the one that was published, in the figures of its modality.

A watermark can always be removed by destroying what carries it. So a removal is held to *floors*:
least values of figures between the item that the attacker publishes and the one they were given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.kit.media import pages as page_layout
from hartley.kit.media.pages import Pages
from hartley.kit.sound import fidelity
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

Figures = Mapping[str, float]

RUN = 4
"""Words in a row that, where a victim wrote them and the forger did not, are a quotation."""

OWN_WORDS = 0.9
"""Least of 1 less the words of a forged text in quotations of the victim (``own_words``)."""


@dataclass(frozen=True, slots=True)
class ItemQuality:
    """The quality floor of a modality.

    Attributes:
        read: (candidate, published) → the candidate as a file holds it; raises ValueError in one
            line where it is not such an item.
        figures: (candidate, published) → figures by name, larger is better; the first is the main
            one, which a game's ``floor`` sets.
        least: least values, by the names of figures.
        forged: the same for a forgery against the attacker's own item; None: as ``least``.
        distortion: (candidate, published) → what bits are divided by: 0 where nothing changed.
        beside: (own item, items of the victim) → candidate → further figures of a forgery, which
            ``forged`` may name: what of it is not the victim's own work, put in whole.
    """

    read: Callable[[Any, Any], Any]
    figures: Callable[[Any, Any], Figures]
    least: Figures
    distortion: Callable[[Any, Any], float]
    forged: Figures | None = None
    beside: Callable[[Any, Sequence[Any]], Callable[[Any], Figures]] | None = None

    def floors(self, floor: float, *, forging: bool = False) -> dict[str, float]:
        """Return the least values where a game sets ``floor``.

        Args:
            floor: of the main figure; −1 keeps the modality's own, 0 sets no floor at all.
            forging: whether they are those of a forgery.
        """
        least = dict(self.least if self.forged is None or not forging else self.forged)
        if floor == 0:
            return {}
        return least if floor < 0 else {**least, next(iter(least)): floor}


def holds(figures: Figures, floors: Figures) -> bool:
    """Whether no figure is below its floor."""
    return all(figures[name] >= least for name, least in floors.items())


def pictures(psnr: float = 34.0, ssim: float = 0.75) -> ItemQuality:
    """Floors of pictures (3, h, w) in 0..1, saved at 8 bits: PSNR in dB, structural similarity."""

    def read(candidate: Any, published: NDArray[Any]) -> NDArray[Any]:
        return image.eight_bits(_numbers(candidate, published.shape))

    return ItemQuality(read, _PictureFigures, {"psnr": psnr, "ssim": ssim}, _mean_square)


@dataclass(frozen=True, slots=True, eq=False)
class _PictureFigures(Mapping[str, float]):
    """Figures of a picture, each computed where it is asked for: the second is most of the time."""

    candidate: NDArray[Any]
    published: NDArray[Any]

    def __getitem__(self, name: str) -> float:
        return _OF_PICTURES[name](self.candidate, self.published)

    def __iter__(self) -> Iterator[str]:
        return iter(_OF_PICTURES)

    def __len__(self) -> int:
        return len(_OF_PICTURES)


_OF_PICTURES = {"psnr": image.psnr, "ssim": image.ssim}


def sounds(spectral_snr: float = 5.0) -> ItemQuality:
    """Floor of waves (samples,) in −1..1, saved at 16 bits: log-spectral signal-to-noise ratio.

    A candidate may be up to twice as long or half as long: a changed speed is a removal too.
    """

    def read(candidate: Any, published: NDArray[Any]) -> NDArray[Any]:
        samples = np.asarray(candidate).size
        if not len(published) <= 2 * samples <= 4 * len(published):
            raise ValueError(
                f"of {len(published) // 2} to {2 * len(published)} samples, got {samples}"
            )
        wave = np.clip(_numbers(candidate, (samples,)), -1.0, 1.0)
        rounded: NDArray[Any] = (np.round(wave * 32767.0) / 32767.0).astype(np.float32)
        return rounded

    return ItemQuality(read, fidelity.figures, {"spectral_snr": spectral_snr}, fidelity.distance)


def texts(similarity: float = 0.8) -> ItemQuality:
    """Floor of texts by their words: F1 of the words, or of the pairs of neighbours if smaller.

    It is against the published text. A text of the same words in another order is another text.
    A scene whose texts can be compared by meaning brings a floor of its own.
    """

    def figures(candidate: str, published: str) -> Figures:
        ours, others = (text.lower().split() for text in (candidate, published))
        # Words alone say nothing of their order.
        return {"word_f1": min(_f1(ours, others), _f1([*pairwise(ours)], [*pairwise(others)]))}

    def read(candidate: Any, published: str) -> str:
        del published
        if not isinstance(candidate, str):
            raise ValueError(f"a text, got {type(candidate).__name__}")
        return str(candidate)

    def distortion(candidate: str, published: str) -> float:
        return 1.0 - figures(candidate, published)["word_f1"]

    least = {"word_f1": similarity}
    return ItemQuality(
        read, figures, least, distortion, {**least, "own_words": OWN_WORDS}, own_words
    )


def _f1(ours: Sequence[Any], others: Sequence[Any]) -> float:
    """Return F1 of two bags; 1 where both are empty."""
    common = sum((Counter(ours) & Counter(others)).values())
    total = len(ours) + len(others)
    return 2 * common / total if total else 1.0


def own_words(item: str, others: Sequence[str]) -> Callable[[str], Figures]:
    """Return 1 less a candidate's words in runs that only the victim wrote, as a share.

    A text that quotes a victim's marked words has their mark, and nobody forged it. The share is of
    the words of the candidate, or of the forger's text where that is shorter: a quotation is no
    less one among many words of others.

    Args:
        item: the forger's text; what it says itself is never a quotation.
        others: texts of the victim.
    """
    of_item = _words(item)
    quotable = {run for text in others for run in _runs(_words(text))} - {*_runs(of_item)}

    def figures(candidate: str) -> Figures:
        words = _words(candidate)
        quoted = np.zeros(len(words), dtype=bool)
        for place, run in enumerate(_runs(words)):
            if run in quotable:
                quoted[place : place + RUN] = True
        least = max(1, min(len(words), len(of_item)))
        return {"own_words": max(0.0, 1.0 - int(quoted.sum()) / least)}

    return figures


def _words(text: str) -> list[str]:
    """Return the words of a text, whatever their case and what is between them."""
    return re.findall(r"\w+", str(text).lower())


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    """Return each run of RUN words."""
    return [tuple(words[k : k + RUN]) for k in range(len(words) - RUN + 1)]


def pages(layout: Pages, similarity: float = 0.8, psnr: float = 34.0) -> ItemQuality:
    """Floors of pages that carry a text: F1 of the words read in them, and PSNR of the page in dB.

    The text may be set anew (``kit.media.pages.psnr``); what is read is held to the floor of texts.
    """
    by_words = texts(similarity)

    def figures(candidate: NDArray[Any], published: NDArray[Any]) -> Figures:
        same = by_words.figures(layout.text(candidate), layout.text(published))
        return {**same, "psnr": page_layout.psnr(layout, candidate, published)}

    def read(candidate: Any, published: NDArray[Any]) -> NDArray[Any]:
        return image.eight_bits(_numbers(candidate, published.shape))

    def beside(item: NDArray[Any], others: Sequence[Any]) -> Callable[[Any], Figures]:
        known: list[Callable[[str], Figures]] = []

        def figures(candidate: NDArray[Any]) -> Figures:
            text = layout.text(candidate)
            if text == layout.text(item):
                return {"own_words": 1.0}
            if not known:  # the victim's pages are read only where a text is another one
                known.append(own_words(layout.text(item), [*map(layout.text, others)]))
            return known[0](text)

        return figures

    least = {"word_f1": similarity, "psnr": psnr}
    return ItemQuality(
        read, figures, least, _mean_square, {**least, "own_words": OWN_WORDS}, beside
    )


def links(share: float = 0.9) -> ItemQuality:
    """Floor of graphs, as adjacencies (v, v): share of links that are still there.

    It is F1 of the links against the published ones, 1 where none changed.
    """

    def figures(candidate: NDArray[Any], published: NDArray[Any]) -> Figures:
        both = int((candidate & published).sum())
        total = int(candidate.sum()) + int(published.sum())
        return {"link_f1": 2 * both / total if total else 1.0}

    def read(candidate: Any, published: NDArray[Any]) -> NDArray[Any]:
        adjacency = _numbers(candidate, published.shape)
        if not np.isin(adjacency, (0, 1)).all() or (adjacency != adjacency.T).any():
            raise ValueError("a symmetric adjacency of 0 and 1, got other values")
        if np.diagonal(adjacency).any():
            raise ValueError("an adjacency without loops, got a loop")
        return np.asarray(adjacency, dtype=np.int8)

    def distortion(candidate: NDArray[Any], published: NDArray[Any]) -> float:
        return float((candidate != published).sum() / max(1, int(published.sum())))

    return ItemQuality(read, figures, {"link_f1": share}, distortion)


def tables(similarity: float = 0.85, accuracy: float = 0.9) -> ItemQuality:
    """Floors of tables (rows, columns) of numbers, whose last column is a label 0 or 1.

    Rows may be fewer, more, or in another order. Similarity is 1 minus the mean Kolmogorov–Smirnov
    distance of the columns. Accuracy is that of a ridge classifier trained on the candidate, on
    the rows of the published table, divided by that of one trained on the published table. A
    removal may replace every row. A forger's table keeps nine of ten of their rows, none of whose
    numbers moved by half a deviation, and nine of ten of its rows are such: whole rows of the
    victim forge nothing.
    """

    def figures(candidate: NDArray[Any], published: NDArray[Any]) -> Figures:
        base, spread = _accuracy(published, published), published.std(0) + 1e-12
        return {
            "table_similarity": 1.0 - column_distance(candidate, published),
            "table_accuracy": min(1.0, _accuracy(candidate, published) / max(base, 1e-9)),
            "rows_kept": float(_near(published, candidate, spread).mean()),
            # Copies of a row beyond the number of rows are nobody's.
            "rows_own": min(int(_near(candidate, published, spread).sum()), len(published))
            / len(candidate),
        }

    def read(candidate: Any, published: NDArray[Any]) -> NDArray[Any]:
        x = np.asarray(candidate)
        if x.ndim != 2 or x.dtype.kind not in "biuf" or x.shape[1] != published.shape[1]:
            raise ValueError(
                f"a table of {published.shape[1]} columns of numbers, got {x.shape} of {x.dtype}"
            )
        if not len(x) or not np.isfinite(x).all():
            raise ValueError("a table of finite numbers with rows, got NaN, infinity or none")
        return np.asarray(x, dtype=np.float64)

    least = {"table_similarity": similarity, "table_accuracy": accuracy}
    return ItemQuality(
        read, figures, least, column_distance, {**least, "rows_kept": 0.9, "rows_own": 0.9}
    )


def column_distance(table: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the mean Kolmogorov–Smirnov distance of the columns of two tables, in 0..1.

    Args:
        table: (n, columns).
        other: (m, columns).
    """
    gaps = []
    for one, two in zip(np.sort(table, axis=0).T, np.sort(other, axis=0).T, strict=True):
        at = np.concatenate([one, two])
        below = [np.searchsorted(column, at, "right") / len(column) for column in (one, two)]
        gaps.append(float(np.abs(below[0] - below[1]).max()))
    return float(np.mean(gaps))


def _near(rows: NDArray[Any], table: NDArray[Any], spread: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a row of a table within half of a column's spread in each column."""
    from scipy.spatial import cKDTree

    near = cKDTree(table / spread).query(rows / spread, p=np.inf)[0]
    return np.asarray(near <= 0.5)


def _accuracy(train: NDArray[Any], test: NDArray[Any]) -> float:
    """The share of labels of a table that a ridge classifier of another table predicts."""
    y = np.where(train[:, -1] > 0.5, 1.0, -1.0)
    if len({*y.tolist()}) < 2:
        return float(np.mean((test[:, -1] > 0.5) == (y[0] > 0)))
    x = np.column_stack([train[:, :-1], np.ones(len(train))])
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
    score = np.column_stack([test[:, :-1], np.ones(len(test))]) @ weights
    return float(np.mean((score > 0) == (test[:, -1] > 0.5)))


def _mean_square(candidate: NDArray[Any], published: NDArray[Any]) -> float:
    gap = np.asarray(candidate, np.float64) - np.asarray(published, np.float64)
    return float(np.mean(gap**2))


def _numbers(candidate: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return finite numbers of a shape.

    Raises:
        ValueError: they are not.
    """
    x = np.asarray(candidate)
    if x.shape != shape or x.dtype.kind not in "biuf":
        raise ValueError(f"of shape {shape}, got {x.shape} of {x.dtype}")
    if not np.isfinite(x).all():
        raise ValueError("finite, got NaN or infinity")
    return x


DEFAULTS: Mapping[Modality, Callable[[], ItemQuality]] = {
    Modality.VISION: pictures,
    Modality.LANGUAGE: texts,
    Modality.AUDIO: sounds,
    Modality.GRAPH: links,
    Modality.TABULAR: tables,
}
"""The floor of a modality, where a scene has none of its own."""
