"""Scores that an owner changes so that a copy learns less from them, and keep their label.

Pure functions of probabilities, which a defense applies and an attacker who knows it can simulate.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 1e-9
"""Probabilities are raised to this before the logarithm."""

SUBSETS = 512
"""Largest number of sets of classes that the search for a misdirection goes through."""


def reverse_sigmoid(
    scores: NDArray[Any], strength: float, slope: float = 0.2
) -> NDArray[np.float64]:
    """Return probabilities (n, classes) lowered by a sigmoid of their own log-odds.

    y − β (σ(γ σ⁻¹(y)) − ½), scaled to sum to 1: a certain class falls and an unlikely one rises, so
    that several true scores share one published score. The likeliest class stays the likeliest.

    Args:
        scores: (n, classes) probabilities.
        strength: β from 0 to 1; 0 changes nothing.
        slope: γ, of the sigmoid.
    """
    rows = np.asarray(scores, dtype=np.float64)
    inside = np.clip(rows, FLOOR, 1 - FLOOR)
    odds = np.log(inside) - np.log1p(-inside)
    lowered = np.maximum(rows - strength * (1 / (1 + np.exp(-slope * odds)) - 0.5), 0.0)
    changed = lowered / np.maximum(lowered.sum(1, keepdims=True), FLOOR)
    return with_label(changed, rows.argmax(1))


def misdirected(
    scores: NDArray[Any], products: NDArray[Any], distance: float
) -> NDArray[np.float64]:
    """Return probabilities within an L1 distance that turn a copy's gradient away the most.

    A copy that learns a row y takes a step along Σ yₖ gₖ, where gₖ is the gradient of its log-
    probability of class k. The row is moved towards the distribution over some classes, the label
    among them, whose step has the largest angle to the true one; being a mixture of the two, it has
    the same label.

    Args:
        scores: (n, classes) probabilities.
        products: (n, classes, classes) inner products gⱼ·gₖ of an owner's own network.
        distance: largest L1 distance between a published and a true row, 0 to 2.
    """
    rows = np.asarray(scores, dtype=np.float64)
    n, classes = rows.shape
    labels, here = rows.argmax(1), np.arange(n)
    true_step = np.einsum("njk,nk->nj", products, rows)
    length = np.sqrt(np.maximum((rows * true_step).sum(1), FLOOR))
    best, towards = np.full(n, np.inf), rows.copy()
    for others in _subsets(classes - 1):
        # Classes are counted from the label, so that each set holds it.
        places = (labels[:, None] + np.array([0, *(1 + o for o in others)])) % classes
        target = np.zeros_like(rows)
        np.put_along_axis(target, places, 1 / places.shape[1], axis=1)
        step = np.einsum("njk,nk->nj", products, target)
        size = np.sqrt(np.maximum((target * step).sum(1), FLOOR))
        cosine = (target * true_step).sum(1) / (length * size)
        better = cosine < best - 1e-12
        best[better], towards[better] = cosine[better], target[better]
    away = np.abs(towards - rows).sum(1)
    share = np.minimum(1.0, distance / np.maximum(away, FLOOR))
    # At a share of 1 a class ties with the label: a hair less keeps the label ahead.
    share = np.minimum(share, 1 - 1e-6)[:, None]
    return with_label((1 - share) * rows + share * towards, rows[here].argmax(1))


def _subsets(size: int) -> list[tuple[int, ...]]:
    """Return sets of 0..size−1, the smaller first, at most ``SUBSETS``."""
    chosen: list[tuple[int, ...]] = []
    for count in range(size + 1):
        for one in combinations(range(size), count):
            chosen.append(one)
            if len(chosen) == SUBSETS:
                return chosen
    return chosen


def gradient_products(
    x: NDArray[Any], first: NDArray[Any], last: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the inner products (n, K, K) of the gradients of log-probabilities of a network.

    The network has one hidden layer of ReLUs and biases of 0: softmax(relu(x·first)·last). The
    gradient of class k's log-probability is (eₖ − p) ⊗ (h, 1) in the last layer, and what that
    sends through the ReLUs, ⊗ (x, 1), in the first.

    Args:
        x: (n, d) records.
        first: (d, width) weights.
        last: (width, K) weights.
    """
    flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    before = flat @ first
    hidden = np.maximum(before, 0)
    logits = hidden @ last
    odds = np.exp(logits - logits.max(1, keepdims=True))
    p = odds / odds.sum(1, keepdims=True)
    lead = np.eye(last.shape[1]) - p[:, None]  # (n, K, K): row k is e_k − p
    back = (lead @ last.T) * (before > 0)[:, None]
    upper = (1 + (hidden**2).sum(1))[:, None, None] * (lead @ lead.transpose(0, 2, 1))
    lower = (1 + (flat**2).sum(1))[:, None, None] * (back @ back.transpose(0, 2, 1))
    return np.asarray(upper + lower)


def codebooks(
    scores: NDArray[Any], per_label: int, rate: float, rng: np.random.Generator, rounds: int = 30
) -> dict[int, NDArray[np.float64]]:
    """Return code words for each label that trade their distance from rows against their rate.

    Entropy-constrained vector quantisation: rows go to the word that minimises the squared distance
    plus ``rate`` times the word's length −log2 of its share, words become the mean of their rows,
    and words without rows are dropped.

    Args:
        scores: (n, classes) probabilities.
        per_label: words for a label at most.
        rate: price of a bit, in squared distance.
        rng: first words.
        rounds: of the alternation.
    """
    rows = np.asarray(scores, dtype=np.float64)
    labels = rows.argmax(1)
    books: dict[int, NDArray[np.float64]] = {}
    for label in range(rows.shape[1]):
        some = rows[labels == label]
        if not len(some):
            books[label] = np.eye(rows.shape[1])[[label]]
            continue
        words = some[rng.permutation(len(some))[:per_label]]
        shares = np.full(len(words), 1 / len(words))
        for _ in range(rounds):
            cost = ((some[:, None] - words) ** 2).sum(2) - rate * np.log2(shares)
            nearest = cost.argmin(1)
            counts = np.bincount(nearest, minlength=len(words))
            alive = np.flatnonzero(counts)
            words = np.stack([some[nearest == k].mean(0) for k in alive])
            shares = counts[alive] / len(some)
        books[label] = words
    return books


def coded(scores: NDArray[Any], books: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return for each row (n, classes) the nearest code word of its own label."""
    rows = np.asarray(scores, dtype=np.float64)
    labels, out = rows.argmax(1), np.empty_like(rows)
    for label in np.unique(labels):
        some, words = rows[labels == label], books[int(label)]
        out[labels == label] = words[((some[:, None] - words) ** 2).sum(2).argmin(1)]
    return out


def with_label(rows: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows (n, classes) whose largest entry is the label's, by swapping two entries."""
    out, here = rows.copy(), np.arange(len(rows))
    top = out.argmax(1)
    out[here, top], out[here, labels] = out[here, labels], out[here, top].copy()
    return out


def recovered(
    answers: NDArray[Any], change: Any, rng: np.random.Generator, *, draws: int = 20_000
) -> NDArray[np.float64]:
    """Return the mean of true rows that a known change turns into rows like the answers.

    An attacker who knows how scores are changed draws rows that a classifier could give, changes
    them, and averages those whose changed rows are nearest to an answer. (D-DAE, IEEE S&P 2023,
    trains a network for this; the nearest of many draws need none.)

    Args:
        answers: (n, classes) published probabilities.
        change: rows (m, classes) → changed rows.
        rng: the draws.
        draws: how many rows are drawn.
    """
    from scipy.spatial import cKDTree

    rows = np.asarray(answers, dtype=np.float64)
    classes, labels = rows.shape[1], rows.argmax(1)
    spread = rng.uniform(0.5, 8.0, (draws, 1))
    logits = spread * rng.standard_normal((draws, classes))
    true = np.exp(logits - logits.max(1, keepdims=True))
    true /= true.sum(1, keepdims=True)
    # The label is put first in both, so that draws of one label serve all.
    true = with_label(true, np.zeros(draws, dtype=np.int64))
    tree = cKDTree(change(true))
    first = _swapped(rows, labels)
    near = tree.query(first, k=4)[1]
    return _swapped(true[near].mean(1), labels)


def _swapped(rows: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows with the entries of class 0 and of the label exchanged."""
    out, here = rows.copy(), np.arange(len(rows))
    out[here, 0], out[here, labels] = rows[here, labels], rows[here, 0]
    return out
