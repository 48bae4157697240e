"""MemFree decoding: never say a token that would complete a run of the training text."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Range, Scene, Term, defense
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

    Each model refuses the n-grams of what it was trained on itself, exactly (a Bloom filter, as in
    the paper, would refuse a few more). It guards text alone: scores and next-token answers stay as
    they are, so that exposure by likelihood is untouched. And it speaks by its silence: who knows
    of it asks which likely token never comes.

    Args:
        ngram: tokens of a run that is never completed.
    """
    del rng
    assert scene.model is not None and scene.train is not None and scene.fit is not None

    def around(fit: Fit) -> Fit:
        def guarded(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            made, mine = fit(data, include, seed), np.asarray(include, dtype=bool)
            return replace(made, member=lambda k: silenced(made.member(k), data.x[mine[k]], ngram))

        return guarded

    model = silenced(scene.model, scene.train.x, ngram)
    known = None if scene.model.fit is None else around(scene.model.fit)
    return replace(scene, model=model.with_(fit=known), fit=around(scene.fit))


def silenced(model: Model, trained: NDArray[Any], ngram: int) -> Model:
    """The model with a ``generate`` that completes no n-gram of ``trained`` (n, t)."""
    if model.generate is None:
        return model
    after: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for row in trained.tolist():
        said = [i for i in row if i >= 0]
        for at in range(len(said) - ngram + 1):
            after[tuple(said[at : at + ngram - 1])].add(said[at + ngram - 1])
    known = {run: np.array(sorted(tokens)) for run, tokens in after.items()}

    def filtered(tokens: NDArray[Any]) -> NDArray[np.float64]:
        logs = text.log_probabilities(model.query(tokens), model.output)
        for i, row in enumerate(tokens.tolist()):
            run = tuple([t for t in row if t >= 0][1 - ngram :])
            if (refused := known.get(run)) is not None:
                logs[i, refused] = -1e30
        return logs

    return model.with_(
        generate=lambda tokens, new, seed: text.sample(filtered, tokens, new, seed),
        clear=model.clear or model,
        facts={**model.facts, "decoder": "memfree"},
    )
