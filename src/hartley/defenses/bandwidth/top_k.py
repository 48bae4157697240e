"""Top-k: publish the k largest scores, and of the others only that they are smaller."""

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
"""Probability that stands for one that is not published, where a logarithm has to be given."""

ROOM = 2**22
"""Scores of a language model's vocabulary that are held at once."""


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
    expected_failures={
        "narrows_extraction": "the wire's victims are certain, so that labels say all there is; "
        "on digits knockoff loses a fifth of its bits, copycat none"
    },
)
def top_k(
    scene: Scene,
    rng: Rng,
    *,
    k: Annotated[int, Range(1)] = 3,
    rest: Literal["spread", "drop"] = "spread",
) -> Scene:
    """Keep the k largest scores of every answer.

    What it moves is the bandwidth: k numbers and their places leave the model instead of all.
    Probabilities that are not published share what the k leave (``spread``), or are 0 and the k are
    scaled to sum to 1 (``drop``); logits likewise, in the units of their own softmax. Of an
    embedding the k numbers of largest magnitude stay. A language model's scores are those of the
    published law: it is asked at every prefix, which costs a forward pass a token.

    Args:
        k: scores that are kept.
        rest: what becomes of the others.
    """
    del rng

    def filter_(x: NDArray[Any], answers: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        del x, who
        return published(answers, output, k, rest)

    shielded = wrap_answers.answers(scene, filter_)
    return _spoken(shielded) if _speaks(scene.model) else shielded


def published(answers: NDArray[Any], output: Output, k: int, rest: str) -> NDArray[Any]:
    """Answers (n, classes) with the k largest scores of each row, in the same units."""
    if output is Output.LABELS or k >= answers.shape[1]:
        return answers
    scores = np.asarray(answers, dtype=np.float64)
    size = np.abs(scores) if output is Output.EMBEDDINGS else scores
    # A stable order, so that ties are kept by the number of the class and not by chance.
    kept = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(kept, np.argsort(-size, 1, kind="stable")[:, :k], True, 1)
    if output is Output.EMBEDDINGS:
        return np.asarray(np.where(kept, scores, 0.0))
    if output is Output.PROBABILITIES:
        return _law(scores, kept, rest)
    top = scores.max(1, keepdims=True)
    law = np.exp(scores - top)
    share = np.where(kept, 0, law).sum(1, keepdims=True) / (~kept).sum(1, keepdims=True)
    if rest == "drop":
        share = ABSENT * np.where(kept, law, 0).sum(1, keepdims=True)
    return np.asarray(np.where(kept, scores, np.log(np.maximum(share, ABSENT**2)) + top))


def _law(law: NDArray[Any], kept: NDArray[np.bool_], rest: str) -> NDArray[Any]:
    held = np.where(kept, law, 0)
    if rest == "drop":
        total = held.sum(1, keepdims=True)
        return np.asarray(np.where(total > 0, held / np.maximum(total, ABSENT), 1 / law.shape[1]))
    # What is left is counted from the published numbers, which is all that the world sees.
    left = np.maximum(1 - held.sum(1, keepdims=True), 0)
    return np.asarray(np.where(kept, law, left / (~kept).sum(1, keepdims=True)))


def _speaks(model: Model | None) -> bool:
    return model is not None and (model.score is not None or model.moments is not None)


def _spoken(scene: Scene) -> Scene:
    """The scene whose language models score by the answers that they publish."""

    def around(fit: Fit | None) -> Fit | None:
        if fit is None:
            return None

        def made(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            trained = fit(data, include, seed)
            return replace(trained, member=lambda j: _by_answers(trained.member(j)))

        return made

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
    )


def by_prefix(
    query: Callable[[NDArray[Any]], NDArray[Any]],
    output: Output,
    tokens: NDArray[Any],
    vocabulary: int,
) -> NDArray[np.float64]:
    """What ``Model.moments`` gives, read off the next-token answers alone.

    Args:
        query: token ids (n, t) → (n, vocabulary) answers.
        output: their units.
        tokens: (n, t), padded with −1.
        vocabulary: columns of an answer.

    Returns:
        (n, t − 1, 3): log-probability of each token, mean and deviation of the law; 0 at padding.
    """
    out = np.zeros((len(tokens), tokens.shape[1] - 1, 3))
    rows = max(1, ROOM // max(vocabulary, 1))
    for at in range(1, tokens.shape[1]):
        for first in range(0, len(tokens), rows):
            here = slice(first, first + rows)
            due = np.flatnonzero(tokens[here, at] >= 0) + first
            if not len(due):
                continue
            answers = np.asarray(query(tokens[due, :at]), dtype=np.float64)
            if output is Output.LOGITS:
                answers = np.exp(answers - answers.max(1, keepdims=True))
            law = np.maximum(answers / answers.sum(1, keepdims=True), ABSENT)
            logs = np.log(law)
            law /= law.sum(1, keepdims=True)
            mean = (law * logs).sum(1)
            spread = np.sqrt((law * (logs - mean[:, None]) ** 2).sum(1))
            said = logs[np.arange(len(due)), tokens[due, at]]
            out[due, at - 1] = np.stack([said, mean, spread], 1)
    return out
