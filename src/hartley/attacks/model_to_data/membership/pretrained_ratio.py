"""Pretrained ratio: compare a text's loss with that before fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, mean_over_tokens, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]

SURE = 1e-6
"""Nats a token: less loss than this before fine-tuning counts as this much in a quotient."""
ROUNDING = 9
"""Decimals of a quotient that are read; what is beyond them is rounding."""
MANY = 32
"""Texts from which on their common quotient is known well enough to compare each with."""


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2205.12506",
    requires=("pretrained",),
    sweep={"quotient": (False,)},
)
def pretrained_ratio(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    quotient: bool = True,
) -> Outcome:
    """Divide a text's loss by that of the model before it was fine-tuned.

    A text that is likely to any model was likely before fine-tuning too. No training is needed:
    the pretrained model is public, or the deployed one without its adapter. Tokens with which all
    texts begin, such as a template, say nothing of one of them and are left out; so is the first
    token after them, which no model can know to be that of this text.

    Args:
        quotient: the ratio of log-perplexities of arXiv:2012.07805: what fine-tuning takes off a
            text is often a share of its loss, and less the easier the text was. The ratio of a
            short text is a mean of few tokens, so that it strays further: of 32 texts or more, how
            far each lies below that of all together counts in its standard errors, which fall like
            one over the root of the number of tokens. Else the difference of the two
            log-probabilities, as in arXiv:2205.12506.

    Raises:
        UsageError: the scene has no pretrained model.
    """
    del rng
    question, before = view.brief.question, view.brief.pretrained
    if before is None:
        raise UsageError("pretrained_ratio needs the log-probabilities before fine-tuning")
    stats = statistics(view.model, question.x)
    read = _own(np.asarray(question.x), stats.real)
    after, earlier = (mean_over_tokens(p, read) for p in (stats.log_probs, before))
    guess = _below(-after, -earlier, read.sum(1)) if quotient else after - earlier
    return Outcome(guess=guess, asset=claims(question, guess))


def _below(after: Floats, earlier: Floats, tokens: NDArray[Any]) -> Floats:
    """Return how far the quotient of two losses a token (n,) is below that of all texts."""
    quotient = np.round(after / np.maximum(earlier, SURE), ROUNDING)
    if len(tokens) < MANY:
        return -quotient
    typical = (tokens * after).sum() / max(float((tokens * earlier).sum()), SURE)
    return np.asarray((np.round(typical, ROUNDING) - quotient) * np.sqrt(tokens))


def _own(tokens: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n, t−1) booleans: the tokens that follow a token of a text's own.

    What all texts (n, t) begin with is not their own. A text that has no such token is read as a
    whole.
    """
    if len(tokens) < 2:
        return real
    shared = int(np.logical_and.accumulate((tokens == tokens[0]).all(0)).sum())
    after = real & (np.arange(1, tokens.shape[1]) > shared)
    return np.where(after.any(1, keepdims=True), after, real)
