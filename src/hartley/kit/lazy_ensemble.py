"""Models that are trained one by one, each when it is first asked, and whose answers are kept.

A reference model of a user's own training may take minutes. Its answers to the records in
question are all that most attacks need of it, and they are kept on disk under what made the model:
a run that was killed goes on at the next model, and of two workers one trains it and the other
waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Ensemble, Model
from hartley.kit.cache import cached, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray


def one_by_one(
    train: Callable[[int], Model],
    identities: Sequence[str],
    facts: Mapping[str, Any] | None = None,
) -> Ensemble:
    """Return K models of which none is trained before it is needed.

    Args:
        train: k → the k-th model. The code of its module, with its imports, is part of what answers
            are kept under.
        identities: of the K models, from all that makes each: code, records, seed. Answers of a
            model whose identity is empty are not kept.
        facts: how they are trained.
    """
    models: dict[int, Model] = {}
    lock = RLock()

    def member(k: int) -> Model:
        with lock:
            if k not in models:
                models[k] = train(k)
            return models[k]

    def answers(k: int, x: NDArray[Any]) -> NDArray[Any]:
        if not identities[k]:
            return np.asarray(member(k).query(x))
        recipe = {"model": identities[k], "x": digest(np.asarray(x))}
        arrays = cached(
            "references", recipe, lambda: {"answers": np.asarray(member(k).query(x))}, code=train
        )
        return arrays["answers"]

    return Ensemble(
        size=len(identities),
        query=lambda x: np.stack([answers(k, x) for k in range(len(identities))]),
        member=member,
        facts=facts or {},
    )
