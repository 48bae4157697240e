"""A configuration in words: what each answer is charged, and what nothing bounds."""

from __future__ import annotations

from collections.abc import Iterator

from hartley.guard.charge import charge_of
from hartley.guard.config import GuardConfig
from hartley.guard.judge.window_judge import check_secrets


def described(config: GuardConfig) -> Iterator[str]:
    """Yield lines on a configuration.

    Raises:
        UsageError: its secrets cannot be searched for.
    """
    if config.secrets:
        texts = [secret.text for secret in config.secrets]
        check_secrets(texts, [secret.name for secret in config.secrets])
    acts = "answers are changed or refused" if config.enforces else "everything passes unchanged"
    yield f"{config.path}: {config.mode}, {acts}"
    yield f"listens at {config.host}:{config.port}, before {config.upstream}"
    for group in config.groups.values():
        names = [p.name for p in config.principals.values() if p.group == group.name]
        budget = "no budget" if group.budget_bits is None else f"{group.budget_bits:g} bits"
        yield f"group {group.name}: {budget}, shared by {', '.join(names) or 'nobody'}"
    yield from _models(config)
    if not config.secrets:
        yield "no [[secret]]: no answer is searched"
    elif config.enforces:
        secrets = ", ".join(secret.name for secret in config.secrets)
        yield f"free text is searched for {secrets}, encoded too"
    for decoy in config.decoys:
        where = "in each request" if config.enforces else 'with mode = "enforce" alone'
        one_of = f"one of {len(decoy.candidates)} values is planted {where}"
        yield f"decoy {decoy.name}: {one_of}; trips falsely with chance at most {decoy.alpha:g}"
    if config.enforces and not config.metrics_key_sha256:
        yield "/metrics: refused, since what it counts depends on answers (metrics_key_sha256)"
    if config.outage == "forward":
        yield "outage = forward: requests pass UNCHARGED while the ledger cannot be used"


def _models(config: GuardConfig) -> Iterator[str]:
    """Yield what an answer of each model is charged, and what no budget binds."""
    others = "*" in config.forms
    if not others and not config.free_text.allowed:
        yield "other models: refused"
    elif not others and not config.free_text.guarantee and config.enforces:
        budgets = [group.name for group in config.groups.values() if group.budget_bits is not None]
        if budgets:
            yield (
                f"the budget of {', '.join(budgets)} does not bind what other models say: "
                "[free_text] allowed = false refuses them"
            )
    for model in (*config.forms, *([] if others or not config.free_text.allowed else [""])):
        request = {"model": model or "another", "messages": []}
        charge = charge_of(config, request)
        name = {"*": "other models", "": "other models"}.get(model, f"model {model}")
        unit = "bit" if charge.bits == 1 else "bits"
        bits = f"{charge.bits:.6g} {unit} an answer" if charge.guaranteed or charge.bits else ""
        bound = ", ".join(filter(None, (bits, "" if charge.guaranteed else "NO GUARANTEE")))
        yield f"{name}: {bound} ({charge.basis})"
