"""Sample and rank: generate many texts, and rank them by signs of memorization.

Texts are sampled from short public prefixes, at a high temperature at first so that they differ.
They are ranked by the model's perplexity relative to their zlib entropy. Candidate secrets are read
after the canaries' prefixes, from the best-ranked texts first.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memorization import text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization
from hartley.kit.answer_units import log_probabilities
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


WINDOW = 8
"""Number of successive tokens whose perplexity is computed."""


@attack(
    game=memorization,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2012.07805",
    sweep={"heat": (0.5, 2.0)},
)
def sample_and_rank(
    view: View[MemorizationBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1), Stronger.MORE] = 256,
    heat: Annotated[float, Range(0, open_low=True)] = 1.0,
    by: Literal["zlib", "perplexity", "window", "none"] = "zlib",
    read: Annotated[int, Range(0), Stronger.MORE] = 0,
) -> Outcome:
    """Sample texts from public prefixes, rank them, and read candidate secrets from them.

    The prompts are single tokens: the first tokens of the attacker's texts and of the canaries. The
    loot is the ranked texts; the auditor counts how many are verbatim training text. In a chain
    after a membership attack the texts are those that it was asked about, in its order.

    Args:
        samples: number of texts.
        heat: temperature of the first token, which decays to 1 over the first third of a text; of
            a model that gives no law of its next token all are sampled at 1.
        by: criterion of the ranking: zlib (zlib entropy over perplexity), perplexity, or window
            (perplexity of the likeliest few successive tokens); none leaves them in a random order.
        read: texts that candidate secrets are read from, the best-ranked first; 0 for all.
    """
    question, ranked = view.brief.question, view.brief.ranked
    texts = _ranked_texts(view, rng, samples, heat, by) if ranked is None else ranked.x
    texts = np.asarray(texts)[: read or None]
    guess = text_canaries.ranked(text_canaries.harvest(texts, question), view.brief.length, rng)
    loot = Data("texts by rank", question.modality, texts, role="texts")
    return Outcome(guess=guess, asset=loot)


def _ranked_texts(
    view: View[MemorizationBrief], rng: Rng, samples: int, heat: float, by: str
) -> NDArray[np.int64]:
    """Return the texts (n, t) that the victim writes, the likeliest memorised first."""
    question = view.brief.question
    new = question.x.shape[1] + text_canaries.generated_length(question)
    canary_starts = question.x[:, 0]
    public_starts = canary_starts if view.brief.public is None else view.brief.public.x[:, 0]
    firsts = np.r_[
        rng.choice(canary_starts, samples - samples // 2), rng.choice(public_starts, samples // 2)
    ]
    continuations = _draw(view, firsts[:, None], new, heat, int(rng.integers(2**31)))
    texts = np.unique(np.concatenate([firsts[:, None], continuations], 1), axis=0)
    if by == "none":
        return np.asarray(rng.permutation(texts))
    return np.asarray(texts[np.argsort(-_memorization_scores(view, texts, by), kind="stable")])


def _draw(
    view: View[MemorizationBrief], prompts: NDArray[np.int64], new: int, heat: float, seed: int
) -> NDArray[np.int64]:
    """Return sampled texts, at a temperature that falls from ``heat`` to 1."""
    if "query" not in view.model.calls:
        assert view.model.generate is not None
        return np.asarray(view.model.generate(prompts, new, seed))
    decay_length = max(1, new // 3)

    def cooled(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        age = min(1.0, (text.lengths(tokens)[0] - 1) / decay_length)
        logs = log_probabilities(view.model.query(tokens), view.model.output)
        return np.asarray(logs / (heat + (1 - heat) * age))

    return text.sample(cooled, prompts, new, seed)


def _memorization_scores(
    view: View[MemorizationBrief], texts: NDArray[np.int64], by: str
) -> NDArray[np.float64]:
    """Return scores (n,) of texts (n, t), larger for texts that are likelier memorised."""
    log_probs = np.asarray(view.model.calls["score"](texts), dtype=np.float64)
    surprise = np.asarray(-log_probs.mean(1))
    if by == "perplexity":
        return np.asarray(-surprise)
    if by == "window":
        size = min(WINDOW, log_probs.shape[1])
        spans = np.lib.stride_tricks.sliding_window_view(log_probs, size, axis=1)
        return np.asarray(spans.mean(2).max(1))
    sizes = [len(zlib.compress(row.astype(np.int32).tobytes())) for row in texts]
    return np.asarray(np.array(sizes) / np.maximum(surprise, 1e-6))
