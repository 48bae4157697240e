"""Query budget: answer a limited number of records per attacker."""

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
    protects=(
        "membership",
        "extraction",
        "encoder_extraction",
        "class_inversion",
        "attribute_inference",
        "memorization",
        "evasion",
        "blocked_class",
        "jailbreak",
        "watermark",
    ),
    modalities=ALL,
    paper="arXiv:2411.11195",
    covers_only={
        "extraction": ("vision", "audio", "graph", "tabular"),
        "class_inversion": ("vision", "audio", "tabular"),
        "attribute_inference": ("tabular",),
        "evasion": ("vision", "audio", "graph", "tabular"),
        "blocked_class": ("vision", "audio"),
        "watermark": ("language",),
    },
    strongest={"queries": 0},
    keeps_proof=True,
)
def query_budget(scene: Scene, rng: Rng, *, queries: Annotated[int, Range(0)] = 100) -> Scene:
    """Answer the first records of each session, and give the same empty answer after that.

    A session belongs to one attack and one victim (``Model.session``): the engine opens it, and all
    capabilities of the model share it. A refusal is not an error but an empty answer: the uniform
    row (zeros for logits and embeddings, label 0, a blind guess for the score of a token). A static
    attacker takes it for an answer; an adaptive attacker can recognise it and ignore it. The owner
    and the judge have no limit.

    Args:
        queries: number of records that are answered in a session.
    """
    del rng

    def change(model: Model, who: str) -> Model:
        # Queries to an attacker's own reference models are not queries to the victim.
        return model if who.startswith("reference") else _limited(model, queries)

    return wrap_answers.models(scene, change)


def _limited(model: Model, queries: int) -> Model:
    inner = model.session

    def opened() -> Session:
        inner_session = inner() if inner is not None else None
        remaining = queries

        def session(name: str, function: Callable[..., Any]) -> Any:
            answer = inner_session(name, function) if inner_session is not None else function
            empty = CAPABILITIES[name].empty
            assert empty is not None, f"{name} has no empty answer"

            def call(x: Any, *arguments: Any) -> Any:
                nonlocal remaining
                served = min(remaining, len(x))
                remaining -= served
                if name == "token_slope":  # places may be the same for all rows
                    places = np.broadcast_to(arguments[1], (len(x), np.shape(arguments[1])[-1]))
                    arguments = (arguments[0], places, *arguments[2:])
                parts = [empty(model, (x[served:], *_rows(arguments, slice(served, None))))]
                if served:
                    parts.insert(0, answer(x[:served], *_rows(arguments, slice(served))))
                return _joined(parts)

            return call

        return session

    return replace(model, session=opened)


def _rows(arguments: tuple[Any, ...], some: slice) -> list[Any]:
    """Return arguments with the rows of some records; a number is of all records."""
    return [a[some] if isinstance(a, np.ndarray) and a.ndim else a for a in arguments]


def _joined(parts: list[Any]) -> Any:
    """Return the answers to the first and to the later records as one list or array."""
    if isinstance(parts[-1], list):
        return [answer for part in parts for answer in part]
    return np.concatenate([np.asarray(part) for part in parts])
