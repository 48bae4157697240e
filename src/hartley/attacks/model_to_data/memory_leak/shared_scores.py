"""Shared scores: weights of an index of words that count the chunks of all tenants.

The leak is that of Wang et al., "Side-Channel Attacks on Shared Search Indexes" (IEEE Symposium on
Security and Privacy, 2017), here on phrases of SQLite's FTS5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.memory_leak._shared.called_service import (
    answered,
    called,
    hits_of,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memory_leak.cross_tenant_read import CrossTenantReadBrief, cross_tenant_read

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=cross_tenant_read,
    access=Access.TOOLS,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    loot=Loot.TEXTS,
    requires=("tenant_store",),
)
def shared_scores(
    view: View[CrossTenantReadBrief],
    rng: Rng,
    *,
    margin: Annotated[float, Range(0), Stronger.NEITHER] = 0.02,
) -> Outcome:
    """Store the statement with each code word, and compare the scores of the attacker's phrases.

    In an index that all tenants share, a phrase that one more chunk holds weighs less, also in the
    score of a chunk that the attacker may read. Of K phrases that are alike otherwise, the one that
    scores least by more than ``margin`` is in a chunk of another tenant.

    Args:
        margin: share of the median score by which the least must be below it.
    """
    del rng
    brief, guess = view.brief, []
    for subject in brief.subjects:
        texts = [brief.statement.format(subject=subject, word=word) for word in brief.words]
        # A further sentence, so that the store does not take it for a duplicate.
        stored = called(view.model, "add", [{"text": f"{text} Noted."} for text in texts])
        searches = [{"text": f'"{text}"', "k": 20} for text in texts]
        scores = []
        for result, answer in zip(stored, called(view.model, "words", searches), strict=True):
            matches = [h for h in hits_of(answer) if "id" in result and h["id"] == result["id"]]
            scores.append(float(matches[0].get("score", np.nan)) if matches else np.nan)
        guess.append(_least(np.array(scores), margin))
    return answered(np.array(guess, np.int64), [])


def _least(scores: np.ndarray, margin: float) -> int:
    """Return the place of the least score, or −1 where no score is much below the others."""
    if not np.isfinite(scores).all():
        return -1
    least, usual = float(scores.min()), float(np.median(scores))
    return int(scores.argmin()) if least < usual - margin * abs(usual) else -1
