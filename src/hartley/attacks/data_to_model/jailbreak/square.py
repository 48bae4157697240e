"""Square: random search over squares of the record, which asks for scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.random_squares import random_squares
from hartley.core import (
    Access,
    Data,
    Modality,
    Outcome,
    Output,
    Range,
    Stronger,
    Term,
    View,
    attack,
)
from hartley.games.jailbreak.evasion import EvasionBrief, evasion

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "its squares are places of a picture or a row, and the budget of graphs is a "
        "number of flips; link_search asks for scores alone",
    },
    paper="arXiv:1912.00049",
    sweep={"ties": (False, True), "share": (0.8, 0.3)},
    light={"queries": 60},
)
def square(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(1, 1_000_000), Stronger.MORE] = 300,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 0.8,
    ties: bool = False,
) -> Outcome:
    """Change random squares of each record to the edge of the budget; keep what raises the loss.

    Args:
        queries: asked about each record at most.
        share: of a record that the first steps change; it shrinks as published.
        ties: keep also what leaves the loss as it is. Where scores are rounded or hidden the
            search then walks over the flat parts instead of stopping there.
    """
    brief = view.brief
    question = brief.question
    out = np.array(question.x, np.float32)
    answers = np.asarray(view.model.calls["query"](out))
    given = answers if view.model.output is Output.LABELS else answers.argmax(1)
    rows = np.flatnonzero(~brief.succeeds(given, np.arange(len(out))))
    limit = min(queries, brief.queries - 1) if brief.queries else queries
    if len(rows) and limit > 0:
        out[rows], _ = random_squares(
            view.model, brief, rows, rng, queries=limit, share=share, ties=ties
        )
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
