"""ReCaLL: unrelated text before a member lowers its likelihood more than for a non-member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import NotOffered, UsageError
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
    """Divide a text's log-probability after unrelated passages by its log-probability alone.

    Both are negative, so that a member, whose log-probability alone is near 0, has a larger ratio.
    Each prefix is used by itself and the log-probabilities are averaged, as in the paper for
    prefixes that do not fit into the model's context together.

    Args:
        prefixes: number of the attacker's passages to put before every text.

    Raises:
        UsageError: the attacker has fewer passages.
        NotOffered: the model's context has no room for one.
    """
    question = view.brief.question
    stats = statistics(view.model, question.x)
    alone = mean_over_tokens(stats.log_probs, stats.real)
    after = np.zeros(len(question))
    passages = _prefixes(view, prefixes, rng)
    for prefix in passages:
        rows = text.append(np.repeat(prefix[None], len(question), axis=0), question.x)
        log_probs = likelihoods(view.model, rows)[:, len(prefix) :]
        after += mean_over_tokens(log_probs, stats.real) / len(passages)
    guess = after / np.minimum(alone, -LEAST)
    return Outcome(guess=guess, asset=claims(question, guess))


LEAST = 1e-6
"""Least magnitude of a mean log-probability, in nats per token."""


def _prefixes(view: View[MembershipBrief], count: int, rng: Rng) -> list[NDArray[np.int64]]:
    """Return passages that no victim was trained on, cut to fit before a text."""
    brief = view.brief
    nonmembers = brief.public if brief.nonmembers is None else brief.nonmembers
    if len(nonmembers) < count:
        raise UsageError(
            f"prefixes must be at most {len(nonmembers)}, the known non-members, got {count}"
        )
    free_context = int(view.model.facts.get("context", 10**6)) - brief.question.x.shape[1]
    if free_context < 1:
        raise NotOffered(
            f"the context of {view.model.name!r} must have room for a prefix, got none beside the "
            "texts in question"
        )
    rows = nonmembers.x[rng.permutation(len(nonmembers))[:count]]
    return [np.asarray(row[row >= 0][-free_context:], dtype=np.int64) for row in rows]
