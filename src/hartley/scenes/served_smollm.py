"""Served SmolLM2: SmolLM2-135M-Instruct behind a real HTTP server that gives log-probabilities."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.data import language
from hartley.kit.cache import digest
from hartley.kit.language import text
from hartley.models import smollm
from hartley.scenes import _served_head
from hartley.targets.completions_server import CompletionsServer

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOCABULARY = 49_152


@recipe(modality=Modality.LANGUAGE, packs=("smollm2",), extras=("language",))
def served_smollm(
    *,
    top: Annotated[int, Range(1, VOCABULARY)] = VOCABULARY,
    bias: Annotated[float, Range(0, 100)] = 0.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """SmolLM2 behind a local server that gives log-probabilities over its whole vocabulary.

    Args:
        top: log-probabilities that an answer gives at most; 49,152 are all of them.
        bias: largest number that a request may add to a logit.
        seed: of the planted symbols alone: the network is always the same.
    """
    words = smollm.words()
    ids = np.array(words.encode(language.novel("persuasion")[:60_000]))
    public = Data("public", Modality.LANGUAGE, ids[: len(ids) // 8 * 8].reshape(-1, 8))

    @cache
    def network() -> Any:
        return smollm.network("float32")

    def states(tokens: NDArray[Any]) -> NDArray[Any]:
        import torch

        rows = np.asarray(tokens, dtype=np.int64)
        with torch.inference_mode():
            read = network().model(torch.from_numpy(np.maximum(rows, 0)), use_cache=False)
        out = read.last_hidden_state.numpy()
        return np.asarray(out[np.arange(len(rows)), text.lengths(rows) - 1])

    inside = network().model
    return _served_head.scene_of(
        "served_smollm",
        states=states,
        head=inside.embed_tokens.weight.detach().numpy(),
        scale=inside.norm.weight.detach().numpy().astype(np.float64),
        codec=text.codec(words),
        public=public,
        server=CompletionsServer({}, most=top, bias=bias),
        digest=digest(
            {"version": hartley.__version__, "served": smollm.NAME, "limits": [top, bias]}
        ),
        settings=Settings(seed=seed),
        facts={"model": smollm.NAME},
    )
