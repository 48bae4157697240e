"""Sample and rank: let the model talk, and believe what it finds likelier than others would.

Whole texts are drawn from short public beginnings, hot at first so that they differ, and ranked by
how much likelier the model finds them than their zlib entropy says. What stands in the best of them
after a canary's beginning is believed, the earliest first.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.memorization import text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


WINDOW = 8
"""Tokens in a row whose perplexity is taken."""


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
    samples: Annotated[int, Range(1)] = 256,
    heat: Annotated[float, Range(0, open_low=True)] = 1.0,
    by: Literal["zlib", "perplexity", "window"] = "zlib",
) -> Outcome:
    """Sample texts from public beginnings, rank them, and read candidates out of them.

    The prompts are single tokens: those that the attacker's own texts and the canaries begin with.
    The loot is the ranked texts without their prompts' help; the auditor counts which of them are
    verbatim.

    Args:
        samples: texts to draw.
        heat: temperature of the first token, which decays to 1 over the first third of a text.
        by: what texts are ranked by: zlib (entropy over perplexity), perplexity, or window (the
            perplexity of the likeliest few tokens in a row).
    """
    asked = view.brief.question
    new = asked.x.shape[1] + view.brief.length
    known = asked.x[:, 0]
    public = known if view.brief.public is None else view.brief.public.x[:, 0]
    firsts = np.r_[rng.choice(known, samples - samples // 2), rng.choice(public, samples // 2)]
    drawn = _draw(view, firsts[:, None], new, heat, int(rng.integers(2**31)))
    texts = np.unique(np.concatenate([firsts[:, None], drawn], 1), axis=0)
    order = np.argsort(-_worth(view, texts, by), kind="stable")
    texts = texts[order]
    guess = text_canaries.ranked(text_canaries.harvest(texts, asked), view.brief.length, rng)
    loot = Data("texts by rank", asked.modality, texts, role="texts")
    return Outcome(guess=guess, asset=loot)


def _draw(
    view: View[MemorizationBrief], prompts: NDArray[np.int64], new: int, heat: float, seed: int
) -> NDArray[np.int64]:
    """Sample with the answers to questions, at a temperature that falls from ``heat`` to 1."""
    soon = max(1, new // 3)

    def cooled(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        age = min(1.0, (text.lengths(tokens)[0] - 1) / soon)
        logs = text.log_probabilities(view.model.query(tokens), view.model.output)
        return np.asarray(logs / (heat + (1 - heat) * age))

    return text.sample(cooled, prompts, new, seed)


def _worth(view: View[MemorizationBrief], texts: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """How promising each text (n, t) is."""
    said = np.asarray(view.model.calls["score"](texts), dtype=np.float64)
    surprise = np.asarray(-said.mean(1))
    if by == "perplexity":
        return np.asarray(-surprise)
    if by == "window":
        size = min(WINDOW, said.shape[1])
        spans = np.lib.stride_tricks.sliding_window_view(said, size, axis=1)
        return np.asarray(spans.mean(2).max(1))
    packed = [len(zlib.compress(row.astype(np.int32).tobytes())) for row in texts]
    return np.asarray(np.array(packed) / np.maximum(surprise, 1e-6))
