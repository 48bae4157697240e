"""Copies of a model that may be marked: which answers they learn, and what is done to them after.

Small dense nets, trained by their thief, who has labelled records of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model
from hartley.kit.answer_units import probabilities
from hartley.kit.fleet import Training, train
from hartley.kit.nets import Net, dense
from hartley.models.clone import of_net, softened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import View
    from hartley.core.parts import Rng
    from hartley.games.extraction.ownership import OwnershipBrief

    Weights = Mapping[str, NDArray[np.float32]]

BATCH, RATE = 128, 1e-2
"""Records a step, and the learning rate of a copy."""

FOLDS = 5
"""Parts of the transfer set; answers of each are doubted by a copy of the others."""


def asked(
    view: View[OwnershipBrief], rng: Rng, queries: int, blur: float
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Ask about the thief's records, in random order; return them and probabilities.

    Args:
        view: of the thief.
        rng: the order and the noise.
        queries: at most; 0 for as many as the rules allow.
        blur: deviation of noise on each record, as a share of that of the records; with noise all
            queries are used, each record several times.
    """
    brief, model = view.brief, view.model
    most = min(brief.queries, queries or brief.queries)
    x = np.asarray(brief.public.x)
    rows = rng.permutation(len(x))[:most]
    if blur:
        rows = np.resize(rows, most)
    records = x[rows]
    if blur:
        noisy = records + blur * float(x.std()) * rng.standard_normal(records.shape)
        records = np.clip(noisy, x.min(0), x.max(0)).astype(x.dtype)
    return records, probabilities(np.asarray(model.query(records)), model.output, brief.classes)


def learnt(
    net: Net,
    x: NDArray[Any],
    targets: NDArray[Any],
    seed: int,
    steps: int,
    *,
    start: Weights | None = None,
    rate: float = RATE,
) -> Weights:
    """Return the weights of one net, trained for about ``steps`` steps, from ``start`` on."""
    epochs = max(1, round(steps * BATCH / max(len(x), 1))) if steps else 0
    everyone = np.ones((1, len(x)), dtype=bool)
    lesson = Training(epochs=epochs, batch=BATCH, lr=rate)
    begun = None if start is None else {name: w[None] for name, w in start.items()}
    fleet = train(net, x, targets, everyone, lesson, seed=seed, start=begun)
    return {name: w[0] for name, w in fleet.weights.items()}


def net_of(view: View[OwnershipBrief], hidden: int) -> Net:
    """Return the architecture of a copy."""
    return dense(tuple(np.shape(view.brief.public.x)[1:]), view.brief.classes, (hidden,))


def copied(
    view: View[OwnershipBrief],
    x: NDArray[Any],
    answers: NDArray[np.float32],
    seed: int,
    *,
    steps: int,
    hidden: int,
    temperature: float,
) -> Weights:
    """Return the weights of a copy of the answers at a temperature, its scores scaled back."""
    net = net_of(view, hidden)
    weights = learnt(net, x, softened(answers, temperature), seed, steps)
    last = net.steps[-1][1]
    scaled = {
        name: w * np.float32(temperature) if name.startswith(f"{last}.") else w
        for name, w in weights.items()
    }
    return scaled


def believed(
    view: View[OwnershipBrief],
    x: NDArray[Any],
    answers: NDArray[np.float32],
    seed: int,
    hidden: int,
) -> NDArray[np.bool_]:
    """Return which answers (n,) have the label that copies of the other answers give too."""
    part = np.arange(len(x)) % FOLDS
    folds = [k for k in range(FOLDS) if (part != k).any() and (part == k).any()]
    out = np.ones(len(x), dtype=bool)
    net = net_of(view, hidden)
    for k in folds:
        rest = part != k
        weights = learnt(net, x[rest], answers[rest], seed, 150)
        model = of_weights(view, net, weights)
        guess = np.asarray(model.query(x[~rest])).argmax(1)
        out[~rest] = guess == answers[~rest].argmax(1)
    return out


def pruned(weights: Weights, share: float) -> Weights:
    """Return weights of which the smallest share in each matrix is 0."""
    out = {}
    for name, w in weights.items():
        limit = np.quantile(np.abs(w), share) if w.ndim > 1 and share else -1.0
        out[name] = np.where(np.abs(w) <= limit, np.float32(0), w)
    return out


def of_weights(view: View[OwnershipBrief], net: Net, weights: Weights) -> Model:
    """Return a copy as a model, which its thief holds in full."""
    return of_net(
        net,
        weights,
        name="copy",
        modality=view.brief.public.modality,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
    )
