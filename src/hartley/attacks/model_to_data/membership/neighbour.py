"""Neighbour attack: a text that was trained on is likelier than texts that nearly say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
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
)
def neighbour(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    neighbours: Annotated[int, Range(1)] = 8,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Compare a text's log-probability with those of copies in which some tokens were replaced.

    The paper's masked language model is replaced by pairs of neighbouring tokens, counted in the
    texts that the attacker holds: a token is drawn among those that followed its predecessor.

    Args:
        neighbours: copies of each text; each costs a reading of it.
        share: part of the tokens that is replaced.
    """
    asked = view.brief.question
    told = statistics(view.model, asked.x)
    texts = [asked.x, view.brief.public.x]
    followers = _followers(texts)
    copies = [_altered(asked.x, followers, share, rng) for _ in range(neighbours)]
    near = np.mean(
        [mean_over_tokens(likelihoods(view.model, copy), told.real) for copy in copies], axis=0
    )
    guess = mean_over_tokens(told.log_probs, told.real) - near
    return Outcome(guess=guess, asset=claims(asked, guess))


Followers = dict[int, "NDArray[np.int64]"]


def _followers(texts: list[NDArray[Any]]) -> Followers:
    """Which tokens came after each token, as often as they did; under −1 all tokens."""
    pairs = np.concatenate([np.stack([x[:, :-1], x[:, 1:]], -1).reshape(-1, 2) for x in texts])
    pairs = pairs[(pairs >= 0).all(1)]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    before, starts = np.unique(pairs[:, 0], return_index=True)
    split = np.split(pairs[:, 1], starts[1:])
    return {-1: pairs[:, 1], **dict(zip(before.tolist(), split, strict=True))}


def _altered(rows: NDArray[Any], followers: Followers, share: float, rng: Rng) -> NDArray[np.int64]:
    """A copy of each row in which some tokens after the first are others."""
    out = np.array(rows, dtype=np.int64)
    for row, length in zip(out, (rows >= 0).sum(1), strict=True):
        count = max(1, round(share * (length - 1)))
        for at in 1 + rng.permutation(max(length - 1, 0))[:count]:
            for choice in (followers.get(int(row[at - 1]), followers[-1]), followers[-1]):
                other = choice[choice != row[at]]
                if len(other):
                    row[at] = other[rng.integers(len(other))]
                    break
    return out
