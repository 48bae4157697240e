"""Logit-bias head: a language model's output head from the likeliest tokens and a bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import head_of_scores
from hartley.attacks.model_to_model.extraction._shared.biased_answers import (
    BiasedAnswers,
    coordinates,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.head_extraction import head_extraction, instability

if TYPE_CHECKING:
    from hartley.core.parts import Rng

START = 16
"""Prompts at first, of which all log-probabilities are asked."""


@attack(
    game=head_extraction,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.06634",
    adapts=True,
    loot=Loot.MODEL,
)
def logit_bias_head(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    length: Annotated[int, Range(1)] = 8,
    bias: Annotated[float, Range(0, 100, open_low=True)] = 40.0,
    tolerance: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 3e-6,
) -> Outcome:
    """Recover a language model's hidden size and head from the likeliest log-probabilities.

    A bias on further tokens lifts them into the answer, a few at a time. All log-probabilities of
    some prompts give the hidden size and the head up to an invertible map (arXiv:2403.06634). Each
    further prompt then needs no more tokens than the hidden size (arXiv:2403.09539), and enough
    prompts show the ellipsoid on which a last norm puts them: the head up to a rotation. The
    limits are those that the model declares. Tokens that the largest bias does not lift in every
    prompt have rows of 0: the attack does not complete the matrix of those that some prompts show.

    Args:
        length: tokens of a prompt, drawn from the attacker's text.
        bias: what is added to the logit of a token, at most what the model takes.
        tolerance: singular values below this share of the largest count as 0.

    Raises:
        RunError: a large bias leaves the answer as it was, though its own token is in it.
    """
    model, public = view.model, view.brief.public
    budgets = [int(d.params["queries"]) for d in view.defenses if d.name == "query_budget"]
    words = np.unique(public.x[public.x >= 0])
    twice = public.x[:2]
    limit = min([view.brief.queries, *budgets])
    tested = limit > 2 * len(twice)
    unstable = instability(model, twice) if tested else 0.0
    ask = BiasedAnswers(model, bias, limit - 2 * len(twice) if tested else limit)
    every = np.arange(model.classes)
    each = 1 + -(-len(every) // ask.group)
    logs, size = np.zeros((0, model.classes)), 0
    # A rank near the number of prompts means that more prompts are needed.
    while 4 * size >= 3 * len(logs) and ask.left >= each:
        count = min(max(START, len(logs)), ask.left // each)
        prompts = rng.choice(words, (count, length))
        plain = ask.plain(prompts)
        if not len(logs):
            ask.see_bias(prompts, plain, unstable)
        logs = np.concatenate([logs, ask.lift(prompts, plain, every)])
        known = np.asarray(~np.isnan(logs).any(0))
        if known.sum() < 2:
            break
        centred = logs[:, known] - logs[:, known].mean(1, keepdims=True)
        size = head_of_scores.rank(centred, tolerance, unstable)
    head = np.zeros((model.classes, max(size, 1)))
    turned = False
    if size:
        vectors, values = head_of_scores.basis(centred, size)
        points = centred @ vectors
        points = np.concatenate([points, coordinates(ask, (vectors, known), words, length, rng)])
        sphere = head_of_scores.on_sphere(points)
        turned = sphere is not None
        head[known] = vectors @ np.linalg.inv(sphere) if sphere is not None else vectors * values
    copy = head_of_scores.copy_of(
        head,
        np.nan_to_num(np.nan_to_num(logs, nan=-np.inf).max(0, initial=-700.0), neginf=-700.0),
        model,
        "logit_bias_head",
        **{
            "rotation settled": turned,
            "tokens without an answer": int(model.classes - np.count_nonzero(head.any(1))),
            "largest difference of two answers": unstable if tested else "not asked",
        },
    )
    return Outcome(asset=copy)
