"""Query budget: answer a limited number of records per attacker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import ALL, Model, Range, Scene, Term, defense
from hartley.defenses._shared import wrap_answers
from hartley.kit import accounts

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="budget",
    protects=(
        "membership",
        *("extraction", "parameter_extraction", "head_extraction"),
        "encoder_extraction",
        "class_inversion",
        "attribute_inference",
        "memorization",
        "evasion",
        "blocked_class",
        "jailbreak",
        "watermark",
        *("cross_tenant_read", "retrieval_extraction"),
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
        "cross_tenant_read": ("language",),
        "retrieval_extraction": ("language",),
    },
    strongest={"queries": 0},
    keeps_proof=True,
)
def query_budget(
    scene: Scene,
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 100,
    shared: bool = False,
) -> Scene:
    """Answer the first records of each session, and give the same empty answer after that.

    A session belongs to one attack and one victim (``Model.session``): the engine opens it, and all
    capabilities of the model share it. A refusal is not an error but an empty answer: the uniform
    row (zeros for logits and embeddings, label 0, a blind guess for the score of a token). A static
    attacker takes it for an answer; an adaptive attacker can recognise it and ignore it. The owner
    and the judge have no limit.

    An attacker with k accounts has k sessions, and so k budgets: no limit per account bounds what a
    group may ask. ``shared`` gives the accounts of one attacker one budget, which an owner can do
    who can link them.

    Args:
        queries: number of records that are answered in a session.
        shared: one budget for all accounts of an attacker.
    """
    del rng

    def change(model: Model, who: str) -> Model:
        # Queries to an attacker's own reference models are not queries to the victim.
        return model if who.startswith("reference") else _limited(model, queries, shared)

    return wrap_answers.models(scene, change)


def _limited(model: Model, queries: int, shared: bool) -> Model:
    def opened() -> accounts.Stream:
        remaining = queries

        def stream(name: str, answer: Callable[..., Any], x: Any, arguments: Any) -> Any:
            nonlocal remaining
            n, served = len(x), min(remaining, len(x))
            remaining -= served
            first, rest = (
                accounts.of_rows(name, arguments, n, some)
                for some in (slice(served), slice(served, None))
            )
            parts = [accounts.refusal(model, name, x[served:], rest)]
            if served:
                parts.insert(0, answer(x[:served], *first))
            return accounts.joined(parts)

        return stream

    return accounts.watched(model, opened, shared=shared)
