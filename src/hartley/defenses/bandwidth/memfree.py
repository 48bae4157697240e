"""MemFree decoding: never generate a token that completes an n-gram of the training text."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Range, Scene, Term, defense
from hartley.kit.answer_units import log_probabilities
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("memorization",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2210.17546",
    strongest={"ngram": 2},
    requires=("fit", "model", "train"),
)
def memfree(scene: Scene, rng: Rng, *, ngram: Annotated[int, Range(2)] = 6) -> Scene:
    """Generate without ever repeating an n-gram of the model's own training text.

    Each model refuses exactly the n-grams of its own training data (the Bloom filter of the paper
    would refuse a few more). The defense covers generated text only: scores and next-token answers
    do not change, nor does exposure by likelihood. Its refusals leak too: an attacker who knows the
    defense looks for a likely token that is never generated.

    Args:
        ngram: tokens in an n-gram that is never completed.
    """
    del rng
    assert scene.model is not None and scene.train is not None and scene.fit is not None

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            trained, rows = fit(data, include, seed), np.asarray(include, dtype=bool)
            return replace(
                trained, member=lambda k: silenced(trained.member(k), data.x[rows[k]], ngram)
            )

        return defended

    model = silenced(scene.model, scene.train.x, ngram)
    reference_fit = None if scene.model.fit is None else around(scene.model.fit)
    return replace(scene, model=model.with_(fit=reference_fit), fit=around(scene.fit))


def silenced(model: Model, trained: NDArray[Any], ngram: int) -> Model:
    """Return the model with a ``generate`` that completes no n-gram of ``trained`` (n, t)."""
    if model.generate is None:
        return model
    after: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for row in trained.tolist():
        ids = [i for i in row if i >= 0]
        for at in range(len(ids) - ngram + 1):
            after[tuple(ids[at : at + ngram - 1])].add(ids[at + ngram - 1])
    completions = {prefix: np.array(sorted(last)) for prefix, last in after.items()}

    def filtered(tokens: NDArray[Any]) -> NDArray[np.float64]:
        logs = log_probabilities(model.query(tokens), model.output)
        for i, row in enumerate(tokens.tolist()):
            prefix = tuple([t for t in row if t >= 0][1 - ngram :])
            if (refused := completions.get(prefix)) is not None:
                logs[i, refused] = -1e30
        return logs

    return model.with_(
        generate=lambda tokens, new, seed: text.sample(filtered, tokens, new, seed),
        clear=model.clear or model,
        facts={**model.facts, "decoder": "memfree"},
    )
