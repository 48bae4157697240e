"""Goldfish loss: some tokens of each text, always the same, never enter the training loss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Range, Scene, Term, defense
from hartley.kit.keyed_hash import GOLDEN, mixed
from hartley.models.masked_loss import leaving_out, left_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("memorization",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.10209",
    strongest={"k": 2, "context": 1},
    keeps_proof=True,
    requires=("fit", "model", "train", "masked_loss"),
)
def goldfish(
    scene: Scene,
    rng: Rng,
    *,
    k: Annotated[int, Range(2)] = 4,
    context: Annotated[int, Range(1)] = 3,
) -> Scene:
    """Leave a pseudo-random 1/k of the tokens out of the loss, by a hash of the tokens before each.

    Copies of a passage lose the same tokens, so that repetition does not reveal them: about l/k
    tokens of a secret of l tokens are not learnt. An attacker who knows the hash learns which. The
    first ``context`` tokens of a record are always learnt.

    Args:
        k: one token in k is left out.
        context: number of tokens before it that are hashed (13 in the paper, whose records are
            documents; records here are sentences).
    """
    del rng
    train, fit, deployed = scene.train, scene.fit, scene.model
    assert train is not None and fit is not None and deployed is not None

    def around(fit: Fit) -> Fit:
        def forgetful(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            mask = dropped(data.x, k=k, context=context)
            if (earlier_mask := left_out(data)) is not None:
                mask |= earlier_mask
            return fit(leaving_out(data, mask), include, seed)

        return forgetful

    everyone = np.ones((1, len(train)), dtype=bool)
    trained = around(fit)(train, everyone, scene.settings.seed).member(0)
    return replace(
        scene,
        model=trained.with_(
            name=deployed.name,
            fit=around(deployed.fit) if deployed.fit is not None else None,
            offers=deployed.offers,
        ),
        fit=around(fit),
    )


def dropped(tokens: NDArray[Any], *, k: int, context: int) -> NDArray[np.bool_]:
    """Return which tokens (n, t) are left out: those whose preceding tokens hash to 0 modulo k.

    Args:
        tokens: (n, t) token ids, padded with −1.
        k: one in k.
        context: number of preceding tokens in the hash.
    """
    rows = np.asarray(tokens)
    mask = np.zeros(rows.shape, dtype=bool)
    state = np.zeros((len(rows), max(0, rows.shape[1] - context)), dtype=np.uint64)
    for back in range(context):
        word = rows[:, back : back + state.shape[1]].astype(np.uint64)
        state = mixed((state ^ word) + GOLDEN)
    mask[:, context:] = state % np.uint64(k) == 0
    return mask & (rows >= 0)
