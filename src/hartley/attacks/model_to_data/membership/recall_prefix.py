"""ReCaLL: what a model knows by heart loses most by a stranger's words before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language import text
from hartley.kit.language.tokens import claims, likelihoods, mean_over_tokens, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.15968",
    sweep={"prefixes": (1, 8)},
)
def recall_prefix(
    view: View[MembershipBrief], rng: Rng, *, prefixes: Annotated[int, Range(1)] = 4
) -> Outcome:
    """Divide a text's log-probability after passages that nobody trained on by that of it alone.

    Both are negative, so that a member, whose own is near zero, has the larger ratio. A model that
    reads little at once gets each prefix by itself, and the log-probabilities are averaged, as the
    paper does where its prefixes do not fit.

    Args:
        prefixes: passages of the attacker's own that are put before every text.

    Raises:
        UsageError: there are fewer.
    """
    asked = view.brief.question
    told = statistics(view.model, asked.x)
    alone = mean_over_tokens(told.log_probs, told.real)
    after = np.zeros(len(asked))
    chosen = _prefixes(view, prefixes, rng)
    for prefix in chosen:
        rows = text.append(np.repeat(prefix[None], len(asked), axis=0), asked.x)
        said = likelihoods(view.model, rows)[:, len(prefix) :]
        after += mean_over_tokens(said, told.real) / len(chosen)
    guess = after / np.minimum(alone, -LEAST)
    return Outcome(guess=guess, asset=claims(asked, guess))


LEAST = 1e-6
"""Nats a token of a text that the model is sure of."""


def _prefixes(view: View[MembershipBrief], count: int, rng: Rng) -> list[NDArray[np.int64]]:
    """Passages that no victim read, cut to what the model can read before a text."""
    brief = view.brief
    strangers = brief.public if brief.strangers is None else brief.strangers
    if len(strangers) < count:
        raise UsageError(f"recall needs {count} texts that no victim was trained on")
    room = int(view.model.facts.get("context", 10**6)) - brief.question.x.shape[1]
    if room < 1:
        raise UsageError(f"{view.model.name!r} reads the texts in question and nothing before them")
    rows = strangers.x[rng.permutation(len(strangers))[:count]]
    return [np.asarray(row[row >= 0][-room:], dtype=np.int64) for row in rows]
