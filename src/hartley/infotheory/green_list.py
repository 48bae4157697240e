"""Watermarks in text: evidence in a count of green tokens (KGW, arXiv:2301.10226)."""

from __future__ import annotations

import math

from hartley.core.errors import UsageError
from hartley.infotheory.gaussian import LOG2E
from hartley.infotheory.surprisal import log2_binomial_tail


def green_list(tokens: int, green: int, share: float) -> dict[str, float]:
    """Evidence of a green-list watermark in one text.

    Args:
        tokens: scored tokens, repeated n-grams counted once (else they are not independent).
        green: how many of them are on their green list.
        share: expected share without a watermark, strictly between 0 and 1.

    Returns:
        ``z``, ``log2_p`` exact (binomial), ``log2_p_normal`` (what z suggests; too small in the
        tail by 11 bits at 110 of 200, share ¼), ``bits_per_token`` KL(observed ‖ share) where the
        text is greener than chance, else 0.

    Raises:
        UsageError: the counts do not match, or the share is not strictly between 0 and 1.
    """
    from scipy.special import log_ndtr, rel_entr

    if not 0 <= green <= tokens or tokens < 1 or not 0.0 < share < 1.0:
        raise UsageError(
            f"counts must be 0 ≤ green ≤ tokens with 0 < share < 1, got {green}, {tokens}, "
            f"{share!r}"
        )
    z = (green - share * tokens) / math.sqrt(tokens * share * (1.0 - share))
    observed = green / tokens
    kl = float(rel_entr(observed, share) + rel_entr(1.0 - observed, 1.0 - share)) * LOG2E
    return {
        "z": z,
        "log2_p": log2_binomial_tail(green, tokens, share),
        "log2_p_normal": float(log_ndtr(-z)) * LOG2E,
        "bits_per_token": kl if observed > share else 0.0,
    }
