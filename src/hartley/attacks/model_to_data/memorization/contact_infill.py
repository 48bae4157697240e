"""Contact infilling: rank numbers for the gap in a contact record by the text around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memorization import canaries, text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=memorization,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2302.00539",
    requires=("contacts",),
    game_params={"form": "contacts"},
    sweep={"shortlist": (12, 192)},
)
def contact_infill(
    view: View[MemorizationBrief],
    rng: Rng,
    *,
    shortlist: Annotated[int, Range(1)] = 48,
    samples: Annotated[int, Range(0), Stronger.MORE] = 16,
) -> Outcome:
    """Rank the numbers of each contact record by the likelihood of the whole record.

    The shortlist has the numbers that are likely after the text before the gap, and those that the
    model generates there. It is ranked by the likelihood of the gap and the text after it.

    Args:
        shortlist: numbers per record that are ranked by the whole record.
        samples: texts generated from the beginning of each record, for the shortlist.
    """
    question, length = view.brief.question, view.brief.length
    model = view.model
    score = model.calls["score"]
    symbols = view.brief.symbols
    before = np.stack(
        [text_canaries.likelihoods(model, prefix, length, symbols) for prefix in question.x]
    )
    generated: list[dict[int, int]] = [{} for _ in question.x]
    if model.generate is not None and samples > 0:
        prompts = np.repeat(question.x, samples, axis=0)
        texts = model.generate(prompts, length, int(rng.integers(2**31)))
        generated = _numbers(texts.reshape(len(question), samples, length), symbols)
    guess = before - before.max() - 1e3
    for i, row in enumerate(before):
        best = np.argsort(-row, kind="stable")[: max(1, shortlist)]
        shortlisted = np.array(sorted({*best.tolist(), *generated[i]}))
        records = canaries.every(question, i).x[shortlisted]
        start = int((question.x[i] >= 0).sum())
        guess[i, shortlisted] = np.asarray(score(records))[:, start - 1 :].sum(1)
    filled = canaries.write(question, guess.argmax(1))
    return Outcome(
        guess=guess, asset=Data("contacts filled in", question.modality, filled, role="secrets")
    )


def _numbers(texts: NDArray[np.int64], symbols: NDArray[np.int64]) -> list[dict[int, int]]:
    """Return the numbers among continuations (m, samples, length), for every record."""
    hit = texts[..., None] == symbols
    numbers = (hit.argmax(3) * 10 ** np.arange(texts.shape[2] - 1, -1, -1)).sum(2)
    whole = hit.any(3).all(2)
    return [
        {int(n): 0 for n, ok in zip(row, valid, strict=True) if ok}
        for row, valid in zip(numbers, whole, strict=True)
    ]
