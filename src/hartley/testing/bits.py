"""``assert_bits``: a limit in bits as a line of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hartley.core import Channel
from hartley.core.errors import UsageError


def assert_bits(
    subject: Channel | Mapping[str, Any] | str | Path,
    *,
    at_most: float | None = None,
    limits: Mapping[str, float] | str | Path | None = None,
    store: str | Path = "runs",
) -> None:
    """Fail a test where more bits leak than a limit allows, or where that is not known.

    As the gate does, it fails closed: over a limit and inconclusive both fail, and the message says
    which it is and why.

    Args:
        subject: a ``Channel`` that ``hartley.measure`` returned; or a run: its document, its folder
            or its name in the store. The files of a stored run must be those that its journal
            vouches for.
        at_most: bits per use that a channel may carry.
        limits: of a run: a mapping such as ``{"membership": 0.05}``, or a file with a table
            ``[limits]``.
        store: the folder of all runs, for a name.

    Raises:
        AssertionError: the channel or the run is over a limit, or inconclusive.
        UsageError: the run or the limits cannot be read, or do not belong together.
    """
    # In the traceback that pytest prints, the test's own line is the last one.
    __tracebackhide__ = True
    if isinstance(subject, Channel):
        if at_most is None or limits is not None:
            raise UsageError("a channel must be given at_most=BITS")
        _check_channel(subject, at_most)
        return
    if limits is None or at_most is not None:
        raise UsageError("a run must be given limits, such as limits={'membership': 0.05}")
    status, reasons = _judged(subject, limits, Path(store))
    if status != "pass":
        lines = "".join(f"\n  {reason}" for reason in reasons)
        raise AssertionError(f"{status}:{lines}")


def _check_channel(channel: Channel, at_most: float) -> None:
    __tracebackhide__ = True
    from hartley.engine.result.document import flags

    low, high, top = channel.bits.lower or 0.0, channel.high, channel.ceiling.value
    upper = min((end for end in (high, top) if end is not None), default=float("inf"))
    interval = f"{channel.bits.value:.4g} bit, in [{low:.4g}, {upper:.4g}]"
    if reasons := flags(channel):
        raise AssertionError(f"inconclusive: the channel is flagged: {'; '.join(reasons)}")
    if low > at_most:
        raise AssertionError(f"over: {interval}, above the limit {at_most:g}")
    if upper > at_most:
        raise AssertionError(f"inconclusive: {interval}, across the limit {at_most:g}")


def _judged(
    subject: Mapping[str, Any] | str | Path, limits: Mapping[str, float] | str | Path, store: Path
) -> tuple[str, tuple[str, ...]]:
    """Return the status of a run and the reasons for it."""
    from hartley.core.errors import DamagedRun
    from hartley.engine.plan.plan import Plan
    from hartley.engine.result.gate import INCONCLUSIVE, check_limit
    from hartley.engine.result.judge_stored import judge_stored, read_limits
    from hartley.store import Reading, read_verified

    if isinstance(limits, Mapping):
        for key in limits:
            check_limit(key)
        plan, path = Plan(scene="", limits=dict(limits)), Path("limits")
    else:
        path = Path(limits)
        plan = read_limits(path)
    if isinstance(subject, Mapping):
        reading = Reading(dict(subject))
    else:
        place = Path(subject)
        named = store / place if isinstance(subject, str) and place.name == subject else place
        try:
            reading = read_verified(named)
        except DamagedRun as damage:
            return INCONCLUSIVE, (str(damage),)
    verdict = judge_stored(reading, plan, path)
    return verdict.status, verdict.reasons
