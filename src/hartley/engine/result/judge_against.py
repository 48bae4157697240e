"""Judge a run against another one, such as that of the last release: did anything get worse?

The comparison is that of ``hartley compare``, with what a gate needs besides: it fails closed where
the two runs are not of one scene, one of them cannot be vouched for, or their order is reversed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hartley.engine.result.compare_runs import (
    ALPHA,
    BETTER,
    MARGIN,
    NO_WORSE,
    OPEN,
    WORSE,
    Side,
    compare_runs,
)
from hartley.engine.result.enough import unlike_scene
from hartley.engine.result.gate import INCONCLUSIVE, OVER, PASS, Verdict
from hartley.engine.result.waivers import AGAINST as LIMIT
from hartley.engine.result.waivers import Waivers, without_effect

STATUS = {WORSE: OVER, OPEN: INCONCLUSIVE, NO_WORSE: PASS, BETTER: PASS}
ORDER = (PASS, INCONCLUSIVE, OVER)


def judge_against(
    first: Side,
    second: Side,
    *,
    margin: float = MARGIN,
    doubts: Sequence[str] = (),
    waivers: Waivers | None = None,
) -> Verdict:
    """Return the verdict on a run by comparison with another one.

    Args:
        first: the run of the last release.
        second: the run in question.
        margin: share of the secret that a row may leak more and still pass.
        doubts: why one of the two cannot be relied on.
        waivers: of rows under the limit ``against``: bits that they may leak more.

    Returns:
        over where a row leaks more at the level of all rows together, pass where every row leaks at
        most the margin more, else inconclusive. Its dump has the comparison under ``against``.
    """
    comparison = compare_runs(first, second, margin=margin)
    name = first.document["id"]
    rows = [row for row in comparison["rows"] if row["baseline"]]
    checks = [_check(row, name, margin, waivers) for row in rows]
    whole = [*doubts, *_unlike(first.document, second.document), *_whole(comparison)]
    status = max(
        [*(check["status"] for check in checks), INCONCLUSIVE if whole else PASS], key=ORDER.index
    )
    reasons = [f"against {name}: {words}" for words in whole]
    reasons += [c["reason"] for c in checks if c["status"] != PASS or "waiver" in c]
    given = waivers.dump(checks) if waivers else ()
    reasons += without_effect((w for w in given if w["limit"] == LIMIT), checks)
    tested = sum(check["p"] is not None for check in checks)
    return Verdict(
        status,
        tuple(reasons),
        tuple(checks),
        ALPHA if tested else None,
        tested,
        against={**comparison, "doubts": list(doubts)},
        waivers=given,
    )


def with_limits(limited: Verdict, against: Verdict) -> Verdict:
    """Return the verdict by limits and by comparison together: the worse of the two.

    Each is decided at its own level: their alphas are of two questions, and both must pass.
    """
    worse = max(limited.status, against.status, key=ORDER.index)
    return replace(
        limited,
        status=worse,
        reasons=(*limited.reasons, *against.reasons),
        checks=(*limited.checks, *against.checks),
        against=against.against,
        waivers=tuple(
            compared if compared["limit"] == LIMIT else judged
            for judged, compared in zip(limited.waivers, against.waivers, strict=True)
        ),
    )


def _whole(comparison: Mapping[str, Any]) -> list[str]:
    """Say what is not settled about the runs as wholes, which a check of one row does not say."""
    of_rows = {f"{row['attack']}: {row['reason']}" for row in comparison["rows"]}
    return [words for words in comparison["reasons"] if words not in of_rows]


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say why two runs are not two releases of one thing, the second the later one."""
    reasons = []
    scenes = [document["scene"].get("name") for document in (first, second)]
    if scenes[0] != scenes[1]:
        reasons.append(f"runs must be of one scene, got {scenes[0]!r} and {scenes[1]!r}")
    elif words := unlike_scene(second, first):
        reasons.append(words)
    times = [str(document.get("created") or "") for document in (first, second)]
    if all(times) and times[0] > times[1]:
        reasons.append(
            f"the baseline must be the earlier run, and was made at {times[0]}, after {times[1]}: "
            "was their order meant?"
        )
    return reasons


def _check(
    row: Mapping[str, Any], baseline: str, margin: float, waivers: Waivers | None
) -> dict[str, Any]:
    """Return a row of the comparison as an entry of ``checks``."""
    between = row["difference"] or {}
    status, words = STATUS[row["status"]], f"{row['status']}: {row['reason']}"
    check = {
        "limit": LIMIT,
        "at": margin,
        "attack": row["attack"],
        "row": row["id"],
        "status": status,
        "reason": f"against {baseline}: {row['attack']}: {words}",
        "p": between.get("p_worse"),
    }
    waiver = waivers.on(LIMIT, row["id"]) if waivers and status != PASS else None
    if waiver is None:
        return check
    # An attacker who was weaker, and a row without a difference, are waived by nobody.
    weaker = (row.get("weaker") or {}).get("second")
    if between and not weaker and between["high"] <= waiver.up_to:
        check["status"] = PASS
    if between:
        check["reason"] += f"; at most {max(0.0, between['high']):.3g} bit more"
    if weaker and "was weaker" not in row["reason"]:
        check["reason"] += f"; the second attacker was weaker: {'; '.join(weaker)}"
    without = f"at most the share {margin:g} of the secret more"
    return waiver.on_check({**check, "at": waiver.up_to}, margin, without)
