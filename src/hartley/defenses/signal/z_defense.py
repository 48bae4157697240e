"""Z-defense: drop texts with a word or a pair that goes with their label too often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Data, Fit, Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without
from hartley.defenses._shared.clean_records import clean_records
from hartley.kit.language.bags import pairs_of, split_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SMOOTHING = 10.0
"""Records by which the rate of a word in clean texts is drawn to that of its class."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "it counts words, and records of this kind have none; loss_filter judges labels",
        "audio": "it counts words, and records of this kind have none; loss_filter judges labels",
        "tabular": "it counts words, and records of this kind have none; loss_filter judges labels",
        "graph": "it counts words, and records of this kind have none; loss_filter judges labels",
        "paired": "it counts words that go with a label, and pairs have none; feature_filter "
        "judges captions",
    },
    paper="arXiv:2305.11596",
    strongest={"false_alarms": 0.5, "expected": "clean"},
    requires=("fit", "train", "holdout"),
)
def z_defense(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    expected: Literal["clean", "class"] = "clean",
    clean: Annotated[int, Range(2)] = 2000,
) -> Scene:
    """Drop training texts with a word or a pair of neighbours that is bound to their label.

    Of the n other training texts that have a word, a share p has the label; with p0 expected the
    statistic is z = (p − p0)/√(p0(1 − p0)/n). A text is dropped if its largest z is larger than
    that of all but a share ``false_alarms`` of clean held-out texts. The paper sets the threshold
    to a number of standard deviations of z over words, expects every class equally often in words
    and as often as it occurs in pairs; here the prior is the empirical one for both, and what a
    word of the subject itself gives away is expected where ``expected`` is ``clean``.

    Args:
        false_alarms: share of clean texts that the threshold drops.
        expected: p0 is the rate of the label among clean texts with the word (drawn to the class's
            where these are few), or the class's among all training texts, as in the paper.
        clean: the owner's held-out texts that are used, at most.
    """
    trusted = clean_records(scene, clean, "z_defense")
    texts = [_grams(str(text)) for text in trusted.x]

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        del fit, seed
        number: dict[str, int] = {}
        every = _Grams.of([*(_grams(str(text)) for text in data.x), *texts], number)
        labels = np.concatenate([data.labels, trusted.labels]).astype(np.int64)
        size = (len(number), int(labels.max()) + 1)
        ours = np.arange(len(labels)) >= len(data)
        usual = every.counts(labels, ours, size)
        dropped = np.zeros_like(include)
        for k, row in enumerate(include):
            inside = np.concatenate([row, np.zeros(len(trusted), dtype=bool)])
            prior = np.bincount(labels[inside], minlength=size[1]) / max(1, inside.sum())
            known = usual if expected == "clean" else np.zeros_like(usual)
            z = every.statistic(
                labels,
                prior,
                _Table(every.counts(labels, inside, size), inside),
                _Table(known, ours & (expected == "clean")),
            )
            limit = np.quantile(z[ours], 1 - false_alarms, method="higher")
            dropped[k] = row & (z[: len(data)] > limit)
        return dropped

    return retrain_without.dropping(scene, rng, choose)


def _grams(text: str) -> list[str]:
    """Return the words and the pairs of neighbours of a text, each once."""
    words = split_words(text.lower())
    return list(dict.fromkeys([*words, *pairs_of(words)]))


@dataclass(frozen=True, slots=True)
class _Grams:
    """The words and pairs of texts, one text after another.

    Attributes:
        gram: (m,) number of each.
        text: (m,) the text that it is in.
        size: number of texts.
    """

    gram: NDArray[np.int64]
    text: NDArray[np.int64]
    size: int

    @staticmethod
    def of(texts: Sequence[Sequence[str]], number: dict[str, int]) -> _Grams:
        """Number the words and pairs of texts; new ones get the next numbers of ``number``."""
        gram = [number.setdefault(one, len(number)) for text in texts for one in text]
        text = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        return _Grams(np.array(gram, dtype=np.int64), text, len(texts))

    def counts(
        self, labels: NDArray[np.int64], some: NDArray[np.bool_], size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return in how many of some texts each gram is, by label (grams, labels)."""
        at = some[self.text]
        cell = self.gram[at] * size[1] + labels[self.text[at]]
        return np.bincount(cell, minlength=size[0] * size[1]).reshape(size).astype(np.float64)

    def statistic(
        self,
        labels: NDArray[np.int64],
        prior: NDArray[np.float64],
        trained: _Table,
        clean: _Table,
    ) -> NDArray[np.float64]:
        """Return the largest z of each text, 0 where none is larger.

        Args:
            labels: of the texts.
            prior: share of each label in the training texts.
            trained: counts of the training texts.
            clean: those of clean texts.
        """
        n, hits = trained.without(self, labels)
        total, right = clean.without(self, labels)
        rate = prior[labels[self.text]]
        p0 = (right + SMOOTHING * rate) / (total + SMOOTHING)
        at = (n > 0) & (hits > 0) & (p0 > 0) & (p0 < 1)
        z = np.zeros(len(self.gram))
        z[at] = (hits[at] / n[at] - p0[at]) / np.sqrt(p0[at] * (1 - p0[at]) / n[at])
        out = np.zeros(self.size)
        np.maximum.at(out, self.text, z)
        return out


@dataclass(frozen=True, slots=True)
class _Table:
    """In how many texts each word or pair is.

    Attributes:
        counts: (grams, labels).
        inside: whether each text is among those that were counted.
    """

    counts: NDArray[np.float64]
    inside: NDArray[np.bool_]

    def without(
        self, grams: _Grams, labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return, for each word of each text, how many other texts have it, and with its label."""
        itself = self.inside[grams.text].astype(np.float64)
        all_labels = self.counts.sum(1)[grams.gram]
        return all_labels - itself, self.counts[grams.gram, labels[grams.text]] - itself
