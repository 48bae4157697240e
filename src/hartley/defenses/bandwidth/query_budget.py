"""Query budget: answer the first records of each asker, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import ALL, Model, Range, Scene, Term, defense
from hartley.core.assets import Session
from hartley.core.capabilities import CAPABILITIES
from hartley.defenses._shared import wrap_answers

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="budget",
    protects=("membership", "extraction", "class_inversion", "attribute_inference", "memorization"),
    modalities=ALL,
    paper="arXiv:2411.11195",
    covers_only={
        "extraction": ("vision", "audio", "tabular"),
        "class_inversion": ("vision", "audio", "tabular"),
        "attribute_inference": ("tabular",),
    },
    strongest={"queries": 0},
    keeps_proof=True,
)
def query_budget(scene: Scene, rng: Rng, *, queries: Annotated[int, Range(0)] = 100) -> Scene:
    """Answer each asker's first records and give everyone the same empty answer after that.

    One asker is one session with one victim (``Model.session``): the engine opens one for every
    attack and round, and all callables of the model share it. A refusal is no error: it is the
    uniform row (zeros for logits and embeddings, label 0, a blind guess for a token's score), so
    that an attacker who did not expect the budget goes on with nothing in his hands. One who knows
    of it can recognise it and leave it out. The owner and the judge ask without limit.

    Args:
        queries: records that each asker gets an answer for.
    """
    del rng

    def change(model: Model, who: str) -> Model:
        # An attacker's own references cost no question to the victim.
        return model if who.startswith("reference") else _limited(model, queries)

    return wrap_answers.models(scene, change)


def _limited(model: Model, queries: int) -> Model:
    inner = model.session

    def opened() -> Session:
        within = inner() if inner is not None else None
        left = queries

        def session(name: str, function: Callable[..., Any]) -> Any:
            answer = within(name, function) if within is not None else function

            empty = CAPABILITIES[name].empty
            assert empty is not None, f"{name} has no empty answer"

            def call(x: Any, *rest: Any) -> Any:
                nonlocal left
                served = min(left, len(x))
                left -= served
                parts = [empty(model, (x[served:], *rest))]
                if served:
                    others = [r[:served] if isinstance(r, np.ndarray) else r for r in rest]
                    parts.insert(0, answer(x[:served], *others))
                return _joined(parts)

            return call

        return session

    return replace(model, session=opened)


def _joined(parts: list[Any]) -> Any:
    """Answers to the first and to the later records as one."""
    if isinstance(parts[-1], list):
        return [answer for part in parts for answer in part]
    return np.concatenate([np.asarray(part) for part in parts])
