"""Judge a stored run by the limits of a plan, for the gate and for a page."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from hartley.core.errors import BadPlan, UsageError
from hartley.engine.plan.plan import Plan
from hartley.engine.plan.plan import read as read_plan
from hartley.engine.result.document import now
from hartley.engine.result.gate import INCONCLUSIVE, OVER, Verdict, check_metrics, judge
from hartley.engine.result.waivers import Waivers
from hartley.store import Reading


def read_limits(path: Path) -> Plan:
    """Return a plan that has limits.

    Raises:
        BadPlan: it cannot be read, or sets none.
    """
    if not path.exists():
        raise BadPlan(
            f"--limits must be a file with a table [limits], got {path}, which does not exist; "
            "a line below [limits] is such as: membership = 0.05"
        )
    plan = read_plan(path)
    if not plan.limits:
        raise BadPlan(
            f"{path} must have a table [limits]; add one such as: [limits] membership = 0.05"
        )
    return plan


def judge_stored(
    reading: Reading,
    plan: Plan,
    path: Path,
    *,
    accept_unverified: bool = False,
    waivers: Waivers | None = None,
) -> Verdict:
    """Return the verdict on a stored run.

    Args:
        reading: the run document, and what vouches for it.
        plan: the limits.
        path: their file, for messages.
        accept_unverified: whether a document that nothing vouches for may pass.
        waivers: that raise limits of single rows.

    Raises:
        UsageError: the limits are about another scene, or name a metric that no row has.
    """
    document = reading.document
    if plan.scene and plan.scene != document["scene"]["name"]:
        raise UsageError(
            f"{path} is for the scene {plan.scene!r}, but the run {document['id']!r} "
            f"is of {document['scene']['name']!r}"
        )
    check_metrics(document, plan.limits)
    verdict = judge(
        document,
        plan.limits,
        strict=plan.strict,
        least=plan.least,
        scene=plan.scenes.get(plan.scene, {}) if plan.scene else None,
        waivers=waivers,
    )
    if reading.doubt and not accept_unverified and verdict.status != OVER:
        reason = f"unverified: {reading.doubt}; --accept-unverified judges it as it is"
        verdict = replace(verdict, status=INCONCLUSIVE, reasons=(reason, *verdict.reasons))
    return verdict


def judged_with(limits: Path | None, waivers: Path | None = None) -> dict[str, str]:
    """Return what a verdict was made with: the files, their SHA-256, and the time."""
    facts: dict[str, str] = {}
    for name, path in (("limits", limits), ("waivers", waivers)):
        if path is not None:
            facts[name] = path.name
            facts[f"{name}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return {**facts, "time": now()}
