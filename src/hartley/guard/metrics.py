"""What Prometheus reads: counts by group of the configuration, never by what a client wrote."""

from __future__ import annotations

from hartley.guard.config import GuardConfig
from hartley.guard.protocols import State

STATES: tuple[State, ...] = ("open", "slow", "coarsen", "refuse")

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_TOKENS = (0, 1, 2, 4, 8, 16, 24, 32)


class Metrics:
    """The counters of a guard, in a registry of its own."""

    def __init__(self, config: GuardConfig) -> None:
        """Make them; every group begins at 0."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "hartley_guard_requests",
            "Requests by how they ended.",
            ["group", "outcome"],
            registry=registry,
        )
        self._bits = Counter(
            "hartley_guard_charged_bits",
            "Bits that were charged before the answer.",
            ["group"],
            registry=registry,
        )
        self._unbounded = Counter(
            "hartley_guard_answers_without_guarantee",
            "Answers that no charge bounds.",
            ["group"],
            registry=registry,
        )
        self._would = Counter(
            "hartley_guard_would_have",
            "What a dry run would have done.",
            ["group", "action"],
            registry=registry,
        )
        self._states = Gauge(
            "hartley_guard_state",
            "State of a group: 0 open, 1 slow, 2 coarsen, 3 refuse.",
            ["group"],
            registry=registry,
        )
        self._outages = Counter(
            "hartley_guard_ledger_failures",
            "Calls of the ledger that failed.",
            ["call"],
            registry=registry,
        )
        self._uncharged = Counter(
            "hartley_guard_uncharged_answers",
            "Answers that were forwarded without a charge, since outage = forward.",
            registry=registry,
        )
        self._faults = Counter(
            "hartley_guard_upstream_faults",
            "Answers that the model's server did not give.",
            ["kind"],
            registry=registry,
        )
        self._added = Histogram(
            "hartley_guard_added_seconds",
            "Seconds to the first byte of an answer, without those of the model's server.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._held = Histogram(
            "hartley_guard_held_tokens",
            "Tokens that waited for a verdict, at most, by answer.",
            buckets=_TOKENS,
            registry=registry,
        )
        self._enforces = Gauge(
            "hartley_guard_enforces", "1 where answers are changed or refused.", registry=registry
        )
        self._enforces.set(config.enforces)
        self._children = {
            group: (
                self._bits.labels(group),
                self._unbounded.labels(group),
                self._states.labels(group),
            )
            for group in config.groups
        }
        for call in ("reserve", "begin", "finish"):
            self._outages.labels(call)
        self._ended: dict[tuple[str, str], Counter] = {}

    def ended(self, group: str, outcome: str) -> None:
        """Count how a request ended; an empty group is that of no account."""
        child = self._ended.get((group, outcome))
        if child is None:
            child = self._ended[group, outcome] = self._requests.labels(group, outcome)
        child.inc()

    def charged(self, group: str, bits: float, *, guaranteed: bool) -> None:
        """Count a charge."""
        charges, unbounded, _state = self._children[group]
        charges.inc(bits)
        if not guaranteed:
            unbounded.inc()

    def state(self, group: str, state: State) -> None:
        """Set the state of a group."""
        self._children[group][2].set(STATES.index(state))

    def would(self, group: str, action: str) -> None:
        """Count what a dry run would have done: refuse, withhold, slow, coarsen or replace."""
        self._would.labels(group, action).inc()

    def failed(self, call: str) -> None:
        """Count a call of the ledger that failed."""
        self._outages.labels(call).inc()

    def uncharged(self) -> None:
        """Count an answer without a charge."""
        self._uncharged.inc()

    def fault(self, kind: str) -> None:
        """Count an answer that did not come."""
        self._faults.labels(kind).inc()

    def added(self, seconds: float) -> None:
        """Record the seconds that the guard added."""
        self._added.observe(max(0.0, seconds))

    def held(self, tokens: int) -> None:
        """Record the tokens that waited for their verdict."""
        self._held.observe(tokens)

    def text(self) -> bytes:
        """Return all of them as Prometheus reads them."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
