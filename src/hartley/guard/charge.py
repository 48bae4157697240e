"""The charge of an answer: an upper bound in bits on what it can carry, known before it is asked.

A charge depends on the config and the request alone, never on the answer, so that charges add up:
the min-capacity of a whole interaction, however its questions follow from its answers, is at most
the sum of its charges (``design/odometer.md``). A secret that could be guessed with chance p is
guessed with chance at most 2^B · p by a group that was charged B bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hartley.guard.forms import Alphabet, entropy_of, form_of
from hartley.guard.protocols import Charge

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig
    from hartley.guard.forms import Form

UNTIMED = "; its time is not counted"
"""What a basis says where the moment at which an answer leaves may carry more."""


def charge_of(config: GuardConfig, request: Mapping[str, Any], form: Form | None = None) -> Charge:
    """Return the charge of the answer to a request.

    Args:
        config: of the proxy.
        request: body of a request for a chat or a completion.
        form: of its answers, if known.

    Raises:
        UsageError: the request's model, number of choices or prompts are not valid.
    """
    form = form_of(config, request) if form is None else form
    aside = "" if config.enforces else "; dry-run: nothing is enforced"
    times = f", {form.choices} choices" if form.choices > 1 else ""
    if isinstance(form, Alphabet):
        delays = f", {form.steps} delays" if form.delay_ms else UNTIMED
        basis = f"{len(form.symbols)} answers{times}{delays}{aside}"
        return Charge(form.bits, config.enforces, basis, **_fewer(form))
    if not form.guaranteed:
        return Charge(0.0, False, f"free text without a guarantee{aside}")
    names = tuple(secret.name for secret in config.secrets)
    if form.whole:
        basis = f"texts of at most {form.max_bytes} bytes{times}{UNTIMED}{aside}"
        return Charge(form.bits, config.enforces, basis, names, **_fewer(form))
    entropy = entropy_of(config)
    return Charge(entropy, config.enforces, f"{entropy:g} bits of the secrets{aside}", names)


def _fewer(form: Form) -> dict[str, Any]:
    """Return what a charge says of a request for several choices."""
    if form.choices == 1:
        return {}
    return {"choices": form.choices, "least": replace(form, choices=1).bits}
