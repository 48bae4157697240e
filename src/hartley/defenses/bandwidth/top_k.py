"""Top-k: publish only the k largest scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import ALL, Data, Ensemble, Fit, Model, Output, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


ABSENT = 1e-6
"""Probability in place of one that is not published, where a logarithm is needed."""

ROOM = 2**22
"""Scores of a language model's vocabulary that are computed at once; limits memory."""


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("membership", "extraction", "memorization"),
    modalities=ALL,
    paper="arXiv:1610.05820",
    covers_only={
        "extraction": ("vision", "audio", "tabular"),
        "memorization": ("vision", "audio", "graph", "tabular", "paired"),
    },
    strongest={"k": 1, "rest": "drop"},
    keeps_proof=True,
)
def top_k(
    scene: Scene,
    rng: Rng,
    *,
    k: Annotated[int, Range(1)] = 3,
    rest: Literal["spread", "drop"] = "spread",
) -> Scene:
    """Keep the k largest scores of every answer.

    It lowers the bandwidth: k scores and their classes leave the model instead of all scores. The
    other probabilities share the remainder evenly (``spread``), or are 0 while the k are scaled to
    sum to 1 (``drop``). Logits are treated alike, by their softmax. Of an embedding the k
    coordinates of largest magnitude remain. A language model scores a text by its published
    distributions: it is queried at every prefix, which costs one forward pass per token.

    Args:
        k: number of scores that are kept.
        rest: what happens to the other scores.
    """
    del rng

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        return published(answers, output, k, rest)

    defended = wrap_answers.answers(scene, filter_)
    return _scored_by_answers(defended) if _scores_texts(scene.model) else defended


def published(answers: NDArray[Any], output: Output, k: int, rest: str) -> NDArray[Any]:
    """Return answers (n, classes) with the k largest scores of each row, in the same units."""
    if output is Output.LABELS or k >= answers.shape[1]:
        return answers
    scores = np.asarray(answers, dtype=np.float64)
    size = np.abs(scores) if output is Output.EMBEDDINGS else scores
    # A stable order settles ties by the number of the class and not by chance.
    largest = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(largest, np.argsort(-size, 1, kind="stable")[:, :k], True, 1)
    if output is Output.EMBEDDINGS:
        return np.asarray(np.where(largest, scores, 0.0))
    if output is Output.PROBABILITIES:
        return _renormalised(scores, largest, rest)
    top = scores.max(1, keepdims=True)
    law = np.exp(scores - top)
    share = np.where(largest, 0, law).sum(1, keepdims=True) / (~largest).sum(1, keepdims=True)
    if rest == "drop":
        share = ABSENT * np.where(largest, law, 0).sum(1, keepdims=True)
    return np.asarray(np.where(largest, scores, np.log(np.maximum(share, ABSENT**2)) + top))


def _renormalised(law: NDArray[Any], largest: NDArray[np.bool_], rest: str) -> NDArray[Any]:
    published_law = np.where(largest, law, 0)
    if rest == "drop":
        total = published_law.sum(1, keepdims=True)
        return np.asarray(
            np.where(total > 0, published_law / np.maximum(total, ABSENT), 1 / law.shape[1])
        )
    # The remainder follows from the published numbers alone, so it reveals nothing more.
    remainder = np.maximum(1 - published_law.sum(1, keepdims=True), 0)
    return np.asarray(np.where(largest, law, remainder / (~largest).sum(1, keepdims=True)))


def _scores_texts(model: Model | None) -> bool:
    return model is not None and (model.score is not None or model.moments is not None)


def _scored_by_answers(scene: Scene) -> Scene:
    """Return the scene whose language models score texts by their published answers."""

    def around(fit: Fit | None) -> Fit | None:
        if fit is None:
            return None

        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            trained = fit(data, include, seed)
            return replace(trained, member=lambda j: _by_answers(trained.member(j)))

        return defended

    assert scene.model is not None
    model = _by_answers(scene.model).with_(fit=around(scene.model.fit))
    return replace(scene, model=model, fit=around(scene.fit))


def _by_answers(model: Model) -> Model:
    query = model.query

    def moments(tokens: NDArray[Any]) -> NDArray[Any]:
        return by_prefix(query, model.output, np.asarray(tokens), model.classes)

    return model.with_(
        score=None if model.score is None else lambda tokens: moments(tokens)[..., 0],
        moments=None if model.moments is None else moments,
        tail_score=None,
    )


def by_prefix(
    query: Callable[[NDArray[Any]], NDArray[Any]],
    output: Output,
    tokens: NDArray[Any],
    vocabulary: int,
) -> NDArray[np.float64]:
    """Return what ``Model.moments`` returns, computed from next-token answers alone.

    Args:
        query: token ids (n, t) → (n, vocabulary) answers.
        output: their units.
        tokens: (n, t), padded with −1.
        vocabulary: columns of an answer.

    Returns:
        (n, t − 1, 3): log-probability of each token, mean and deviation of the law; 0 at padding.
    """
    out = np.zeros((len(tokens), tokens.shape[1] - 1, 3))
    batch = max(1, ROOM // max(vocabulary, 1))
    for at in range(1, tokens.shape[1]):
        for first in range(0, len(tokens), batch):
            here = slice(first, first + batch)
            rows = np.flatnonzero(tokens[here, at] >= 0) + first
            if not len(rows):
                continue
            answers = np.asarray(query(tokens[rows, :at]), dtype=np.float64)
            if output is Output.LOGITS:
                answers = np.exp(answers - answers.max(1, keepdims=True))
            law = np.maximum(answers / answers.sum(1, keepdims=True), ABSENT)
            logs = np.log(law)
            law /= law.sum(1, keepdims=True)
            mean = (law * logs).sum(1)
            spread = np.sqrt((law * (logs - mean[:, None]) ** 2).sum(1))
            scores = logs[np.arange(len(rows)), tokens[rows, at]]
            out[rows, at - 1] = np.stack([scores, mean, spread], 1)
    return out
