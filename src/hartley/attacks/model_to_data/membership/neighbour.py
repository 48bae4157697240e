"""Neighbour attack: a member is likelier to the model than slightly changed copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, likelihoods, mean_over_tokens, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2305.18462",
    sweep={"share": (0.1, 0.5)},
)
def neighbour(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    neighbours: Annotated[int, Range(1), Stronger.MORE] = 8,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Compare a text's log-probability with those of copies in which some tokens were replaced.

    The paper draws replacements from a masked language model. Here a bigram model of the attacker's
    texts replaces it: a token is drawn among those that followed its predecessor.

    Args:
        neighbours: copies of each text; each costs one query.
        share: share of the tokens that are replaced.
    """
    question = view.brief.question
    stats = statistics(view.model, question.x)
    texts = [question.x, view.brief.public.x]
    followers = _followers(texts)
    copies = [_altered(question.x, followers, share, rng) for _ in range(neighbours)]
    copy_scores = np.mean(
        [mean_over_tokens(likelihoods(view.model, copy), stats.real) for copy in copies], axis=0
    )
    guess = mean_over_tokens(stats.log_probs, stats.real) - copy_scores
    return Outcome(guess=guess, asset=claims(question, guess))


Followers = dict[int, "NDArray[np.int64]"]


def _followers(texts: list[NDArray[Any]]) -> Followers:
    """Return the tokens that follow each token, with repetitions; under −1 all tokens."""
    pairs = np.concatenate([np.stack([x[:, :-1], x[:, 1:]], -1).reshape(-1, 2) for x in texts])
    pairs = pairs[(pairs >= 0).all(1)]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    before, starts = np.unique(pairs[:, 0], return_index=True)
    split = np.split(pairs[:, 1], starts[1:])
    return {-1: pairs[:, 1], **dict(zip(before.tolist(), split, strict=True))}


def _altered(rows: NDArray[Any], followers: Followers, share: float, rng: Rng) -> NDArray[np.int64]:
    """Return a copy of rows (n, t) in which a share of the tokens after the first is replaced."""
    out = np.array(rows, dtype=np.int64)
    for row, length in zip(out, (rows >= 0).sum(1), strict=True):
        count = max(1, round(share * (length - 1)))
        for at in 1 + rng.permutation(max(length - 1, 0))[:count]:
            for pool in (followers.get(int(row[at - 1]), followers[-1]), followers[-1]):
                replacements = pool[pool != row[at]]
                if len(replacements):
                    row[at] = replacements[rng.integers(len(replacements))]
                    break
    return out
