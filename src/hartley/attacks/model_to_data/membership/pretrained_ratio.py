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


SURE = 1e-6
"""Nats a token: less loss than this before fine-tuning counts as this much in a quotient."""


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
    texts begin, such as a template, say nothing of one of them and are left out.

    Args:
        quotient: the ratio of log-perplexities of arXiv:2012.07805: what fine-tuning takes off a
            text is often a share of its loss, and less the easier the text was. Else the
            difference of the two log-probabilities, as in arXiv:2205.12506.

    Raises:
        UsageError: the scene has no pretrained model.
    """
    del rng
    question, before = view.brief.question, view.brief.pretrained
    if before is None:
        raise UsageError("pretrained_ratio needs the log-probabilities before fine-tuning")
    stats = statistics(view.model, question.x)
    read = _parted(np.asarray(question.x), stats.real)
    after, earlier = (mean_over_tokens(p, read) for p in (stats.log_probs, before))
    guess = -after / np.minimum(earlier, -SURE) if quotient else after - earlier
    return Outcome(guess=guess, asset=claims(question, guess))


def _parted(tokens: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n, t−1) booleans: the tokens after the beginning that all texts (n, t) share.

    A text that is nothing but this beginning is read as a whole.
    """
    if len(tokens) < 2:
        return real
    shared = np.logical_and.accumulate((tokens == tokens[0]).all(0))
    after = real & ~shared[1:]
    return np.where(after.any(1, keepdims=True), after, real)
