"""Dataset test: was a set of documents in the training? Weak scores, weighed against known others.

Nothing is trained but a linear model on a dozen numbers of each document, so that it plays on a
deployed model and on an endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Model, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import (
    claims,
    compressed,
    mean_over_tokens,
    portrait,
    statistics,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.06443",
    game_params={"group": 32},
    requires=("holdout",),
)
def dataset_test(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    folds: Annotated[int, Range(2, 20), Stronger.NEITHER] = 5,
    ridge: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 1.0,
) -> Outcome:
    """Test for each set of documents whether the model was trained on it, without other models.

    Each document has several scores, each larger for a document of the training: its
    log-probability, the same relative to zlib and to the model before fine-tuning, Min-K % and
    Min-K %++ at several shares. As in the paper, a linear model learns which of them separate the
    documents in question from known non-members, and is then read on documents that it did not
    learn from. Here each set is read with weights that were learned on the sets of the other folds
    together, since each alone is small, and no weight is below 0. A score is in standard deviations
    of the known non-members.

    Args:
        folds: parts of the sets; each is read with weights that are learned on the others.
        ridge: penalty on the weights, in units of one score's variance per document.

    Raises:
        UsageError: too few known non-members.
    """
    question, nonmembers = view.brief.question, view.brief.nonmembers
    nonmembers = view.brief.public if nonmembers is None else nonmembers
    if len(nonmembers) < LEAST:
        raise UsageError(
            f"dataset_test needs at least {LEAST} texts that the model was not trained on, got "
            f"{len(nonmembers)}"
        )
    earlier, earlier_known = view.brief.pretrained, view.brief.pretrained_nonmembers
    if earlier is None or earlier_known is None:
        earlier = earlier_known = None
    scores = _portrait(view.model, question, earlier)
    known_scores = _portrait(view.model, nonmembers, earlier_known)
    groups = view.brief.groups
    fold = rng.permutation(int(groups.max()) + 1)[groups] % folds
    guess = np.zeros(len(scores))
    for k in range(folds):
        rows = fold == k
        weights = _weights(scores[~rows], known_scores, ridge)
        null = known_scores @ weights
        guess[rows] = (scores[rows] @ weights - null.mean()) / max(null.std(), TINY)
    return Outcome(guess=guess, asset=claims(question, guess))


LEAST = 10
"""Known non-members, to learn from."""
TINY = 1e-12


def _portrait(model: Model, data: Data, before: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the scores (n, d) of documents."""
    numbers = statistics(model, data.x)
    table = portrait(numbers, compressed(data))
    if before is None:
        return table
    ratio = mean_over_tokens(numbers.log_probs - before, numbers.real)
    return np.column_stack([table, ratio])


def _weights(
    scores: NDArray[np.float64], known: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Return weights (d,) of at least 0, under which documents in question score above others.

    Where no score does, all count alike.
    """
    from sklearn.linear_model import Ridge

    x = np.concatenate([scores, known])
    spread = np.maximum(x.std(0), TINY)
    y = np.repeat([1.0, 0.0], [len(scores), len(known)])
    # Both sides count alike, however many documents either has.
    share = np.repeat([0.5 / len(scores), 0.5 / len(known)], [len(scores), len(known)])
    penalty = ridge / np.sqrt(len(x))
    fitted = Ridge(alpha=penalty, positive=True).fit(x / spread, y, sample_weight=share)
    weights = np.asarray(fitted.coef_)
    return np.asarray((weights if weights.any() else np.ones(len(weights))) / spread)
