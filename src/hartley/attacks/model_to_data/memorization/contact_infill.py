"""Personal data: fill the gap in a contact record from what stands on both sides of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
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
    samples: Annotated[int, Range(0)] = 16,
) -> Outcome:
    """Rank the numbers of a name's contact record by the likelihood of the whole record.

    Two steps: what the text before the gap makes likely, or what the model itself generates there,
    is shortlisted; the shortlist is ranked by the likelihood of the gap and of what follows it.

    Args:
        shortlist: numbers read to the end of the record, a name.
        samples: texts generated from each natural context, whose numbers join the shortlist.
    """
    asked, length = view.brief.question, view.brief.length
    model = view.model
    score = model.calls["score"]
    symbols = view.brief.symbols
    before = np.stack(
        [text_canaries.likelihoods(model, prefix, length, symbols) for prefix in asked.x]
    )
    found: list[dict[int, int]] = [{} for _ in asked.x]
    if model.generate is not None and samples > 0:
        prompts = np.repeat(asked.x, samples, axis=0)
        said = model.generate(prompts, length, int(rng.integers(2**31)))
        found = _numbers(said.reshape(len(asked), samples, length), symbols)
    guess = before - before.max() - 1e3
    for i, row in enumerate(before):
        best = np.argsort(-row, kind="stable")[: max(1, shortlist)]
        some = np.array(sorted({*best.tolist(), *found[i]}))
        whole = canaries.every(asked, i).x[some]
        start = int((asked.x[i] >= 0).sum())
        guess[i, some] = np.asarray(score(whole))[:, start - 1 :].sum(1)
    read = canaries.write(asked, guess.argmax(1))
    return Outcome(
        guess=guess, asset=Data("contacts filled in", asked.modality, read, role="secrets")
    )


def _numbers(said: NDArray[np.int64], symbols: NDArray[np.int64]) -> list[dict[int, int]]:
    """The numbers among continuations (m, samples, length), for every record."""
    hit = said[..., None] == symbols
    numbers = (hit.argmax(3) * 10 ** np.arange(said.shape[2] - 1, -1, -1)).sum(2)
    whole = hit.any(3).all(2)
    return [
        {int(n): 0 for n, ok in zip(row, fine, strict=True) if ok}
        for row, fine in zip(numbers, whole, strict=True)
    ]
