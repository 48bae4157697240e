"""A model as a judge asks it: what the judge asks is counted, apart from the attacker's queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hartley.core import Model
from hartley.core.capabilities import CAPABILITIES, Capability, Counted
from hartley.core.costs import count_queries


def judged(model: Model) -> Model:
    """Return the model with each query reported to the engine, which writes ``judge_queries``.

    A judge that verifies what an attacker brought home asks the victim itself. No attacker pays for
    that, but the owner does, for a model behind a paid service.
    """

    def counted(name: Capability, call: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            count_queries(CAPABILITIES[name].uses(arguments))
            return call(*arguments)

        return ask

    asking = {n: c for n, c in model.calls.items() if CAPABILITIES[n].counted is Counted.QUERIES}
    return model.with_(**{name: counted(name, call) for name, call in asking.items()})
