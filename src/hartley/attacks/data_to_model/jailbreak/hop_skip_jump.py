"""HopSkipJump: a walk along the border between two answers, for victims that give labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.border_walk import BorderWalk, walked
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
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=evasion,
    access=Access.LABELS,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "graph": "it walks along a border through records between two others, and between two "
        "graphs there is none; link_search asks for answers alone",
    },
    paper="arXiv:1904.02144",
    sweep={"probe": (0.1, 0.3, 1.0)},
    light={"queries": 100},
)
def hop_skip_jump(
    view: View[EvasionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(1, 1_000_000), Stronger.MORE] = 1000,
    samples: Annotated[int, Range(1, 100_000), Stronger.NEITHER] = 100,
    probe: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 0.1,
    start: Literal["nearest", "records", "noise"] = "nearest",
) -> Outcome:
    """Bisect to the border, estimate the direction across it from labels, step, and bisect again.

    Each direction is also tried at the clean record with the whole budget, which the paper, that
    looks for the smallest change, has no use for.

    Args:
        queries: asked about each record at most.
        samples: random steps of the first estimate of a direction; the t-th takes √t times as many.
        probe: length of a random step, as a share of the change as it is; the paper's, divided by
            the number of entries, estimates worse here. Longer ones see past what rounds answers.
        start: at records of the round that are answered otherwise, at noise, or at the nearest of
            both, by the distance of the border on the way there.
    """
    brief = view.brief
    question = brief.question
    out = np.array(question.x, np.float32)

    def labels(x: NDArray[Any]) -> NDArray[np.int64]:
        answers = np.asarray(view.model.calls["query"](x))
        return answers if view.model.output is Output.LABELS else answers.argmax(1)

    answers = labels(out)
    rows = np.flatnonzero(~brief.succeeds(answers, np.arange(len(out))))
    limit = min(queries, brief.queries - 1) if brief.queries else queries
    if len(rows) and limit > 0:
        walk = BorderWalk(labels, brief, limit, rng)
        at = walk.starts(rows, answers, start)
        out[rows] = walked(walk, rows, at, samples=samples, probe=probe)
    return Outcome(asset=Data("changed records", question.modality, out, question.y))
