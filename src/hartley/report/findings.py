"""One finding for each row of the run: what CI formats show, derived from the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hartley.reference.schema import UNASKED, verdict_of
from hartley.report.format_numbers import bits_line

RANK = {"over": 3, "inconclusive": 2, "pass": 1, "unlimited": 0}


@dataclass(frozen=True, slots=True)
class Finding:
    """What the run says about one attack.

    Attributes:
        channel: the row of the run document.
        status: ``over``, ``inconclusive``, ``pass`` or ``unlimited`` (no limit applies to it);
            ``skipped`` for what was not played.
        words: one line for each limit that applies to it, or the measured bits.
        waivers: that raised one of these limits.
    """

    channel: Mapping[str, Any]
    status: str
    words: tuple[str, ...]
    waivers: tuple[Mapping[str, Any], ...] = ()

    @property
    def where(self) -> str:
        """Axis, class and attack, as a dotted name."""
        return ".".join(
            str(k or "unknown") for k in (self.channel.get("axis"), class_of(self.channel))
        )


def class_of(row: Mapping[str, Any]) -> str:
    """Return the threat class of a row; in a document of version 1 it was the game's name."""
    return str(row.get("class") or row.get("game") or "")


def findings(document: Mapping[str, Any]) -> list[Finding]:
    """Return one finding for every row of ``channels``."""
    checks = document["verdict"].get("checks") or ()
    return [_finding(row, checks) for row in document["channels"]]


def loose_checks(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the checks without a row: limits on something that was not measured."""
    rows = {row["id"] for row in document["channels"]}
    return [c for c in document["verdict"].get("checks") or () if c.get("row") not in rows]


def unexplained(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the status and the reasons of a verdict that no row and no limit shows, or None.

    A run that is damaged or unverified is inconclusive whatever its rows say: CI must not read a
    list of rows without a failure as a pass.
    """
    verdict = document["verdict"]
    status = verdict_of(verdict)
    if status in ("pass", UNASKED):
        return None
    statuses = {f.status for f in findings(document)} | {
        c["status"] for c in loose_checks(document)
    }
    if statuses & ({"over"} if status == "over" else {"over", "inconclusive"}):
        return None
    return status, "; ".join(map(str, verdict.get("reasons") or ())) or status


@dataclass(frozen=True, slots=True)
class Behind:
    """What an attack reads behind a defense that a plan added; limits do not judge it.

    Attributes:
        defense: its name.
        attack: the label of the row that it is compared with; of several that were not measured for
            one reason, all labels.
        knowledge: ``static`` or ``adaptive``.
        bits: {point, low, high, n}, or None where it was not measured.
        words: the bits in a line of text, or the reason.
    """

    defense: str
    attack: str
    knowledge: str
    bits: Mapping[str, Any] | None
    words: str


def behind_defenses(document: Mapping[str, Any]) -> list[Behind]:
    """Return what each attack reads behind each defense, by a static and an adaptive attacker.

    Attacks that were not measured for one reason are one row.
    """
    units = {row["id"]: row.get("unit") for row in document["channels"]}
    rows: list[Behind] = []
    unmeasured: dict[tuple[str, str, str], list[str]] = {}
    for defense in document.get("defenses") or ():
        for row_id, residual in (defense.get("residual") or {}).items():
            for knowledge in ("static", "adaptive"):
                bits = residual.get(knowledge)
                words = str(residual.get("reason") or "not measured")
                if bits is not None:
                    words = bits_line({"bits": bits, "n": bits.get("n"), "unit": units.get(row_id)})
                attack, name = str(residual.get("attack", row_id)), str(defense["name"])
                if bits is None:
                    unmeasured.setdefault((name, knowledge, words), []).append(attack)
                else:
                    rows.append(Behind(name, attack, knowledge, bits, words))
    for (name, knowledge, words), attacks in unmeasured.items():
        rows.append(Behind(name, ", ".join(attacks), knowledge, None, words))
    return rows


def _finding(row: Mapping[str, Any], checks: Any) -> Finding:
    row_checks = [c for c in checks if c.get("row") == row["id"]]
    words = tuple(str(c["reason"]) for c in row_checks)
    if row["status"] == "skipped" and not row_checks:
        return Finding(row, "skipped", (str(row.get("reason") or "no reason given"),))
    if row["status"] != "measured":
        reason = str(row.get("reason") or "no reason given")
        return Finding(row, "inconclusive", words or (f"{row['status']}: {reason}",))
    if row_checks:
        worst = max((c["status"] for c in row_checks), key=lambda s: RANK.get(s, 2))
        waivers = tuple(check["waiver"] for check in row_checks if check.get("waiver"))
        return Finding(row, worst, words, waivers)
    if row.get("flags"):
        return Finding(row, "inconclusive", tuple(map(str, row["flags"])))
    return Finding(row, "unlimited", (bits_line(row),))
