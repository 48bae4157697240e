"""How a check is written, run and excused.

A check is a function of one part that raises ``CheckFailed``. A part that is weak by nature
declares ``expected_failures={"check": "reason"}``: then the check *must* fail, so that an excuse
that is no longer needed is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from hartley.core.errors import HartleyError

SEEDS = (0, 1, 2)
"""Fixed, so that a conforming part never flakes."""

DEAD = 0.02
"""Bits that may be read from a dead scene (certified bound, and median point over the seeds)."""


class CheckFailed(HartleyError, AssertionError):
    """A part breaks a rule; the message says which, and how."""


@dataclass(frozen=True, slots=True)
class Check:
    """One named rule and the function that checks a part."""

    name: str
    run: Callable[[Any], None]

    def __call__(self, part: Any) -> None:
        """Check ``part``; where it declares an excuse, the check must fail.

        Raises:
            CheckFailed: the rule is broken, or an excuse is no longer needed.
        """
        excuse = getattr(part, "expected_failures", {}).get(self.name)
        if excuse is None:
            self.run(part)
            return
        try:
            self.run(part)
        except CheckFailed:
            return
        raise CheckFailed(
            f"{part.name} passes {self.name}, although its expected_failures say that it cannot "
            f"({excuse}): remove that entry"
        )


def run_all(checks: Iterable[Check], part: Any) -> None:
    """Run every check on a part and report all failures at once.

    A check that raises another error has failed too, and the checks after it still run.

    Raises:
        CheckFailed: a rule is broken; the message has one line for each, or one for all checks
            that failed for the same reason.
    """
    checks = tuple(checks)
    names = {check.name for check in checks}
    lines = [
        f"expected_failures must name checks, got {name!r}"
        for name in getattr(part, "expected_failures", {})
        if name not in names
    ]
    failed: dict[str, list[str]] = {}
    cause: Exception | None = None
    for check in checks:
        try:
            check(part)
        except CheckFailed as failure:
            failed.setdefault(str(failure), []).append(check.name)
        except Exception as error:
            failed.setdefault(_reason(error), []).append(check.name)
            cause = cause or error
    lines += [f"{', '.join(rules)}: {reason}" for reason, rules in failed.items()]
    if lines:
        raise CheckFailed(f"{part.name}:\n  " + "\n  ".join(lines)) from cause


def _reason(error: Exception) -> str:
    """Return the error in a line, with its line of code where it was not raised on purpose."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, HartleyError) or not (frames := extract_tb(error.__traceback__)):
        return reason
    return f"{reason} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


def expect(condition: bool, message: str) -> None:
    """Raise ``CheckFailed(message)`` unless ``condition`` holds."""
    if not condition:
        raise CheckFailed(message)
