"""Served novel: a small language model behind an HTTP server that gives few log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.data import language
from hartley.kit.cache import cached, digest
from hartley.kit.language import gpt, text
from hartley.scenes import _served_head
from hartley.scenes._assemble_language import distinct
from hartley.targets.completions_server import CompletionsServer

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOCABULARY, WINDOW, PUBLIC = 512, 32, 400
"""Tokens, tokens of a passage, and passages that are the attacker's."""

LESSON = gpt.Lesson(epochs=2, batch=32, rate=4e-3)


@recipe(modality=Modality.LANGUAGE, extras=("language",))
def served_novel(
    *,
    hidden: Annotated[int, Range(4, 64)] = 32,
    top: Annotated[int, Range(1, VOCABULARY)] = 20,
    bias: Annotated[float, Range(0, 100)] = 100.0,
    jitter: Annotated[float, Range(0)] = 0.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A transformer of one novel behind a local server with the limits of public APIs.

    Args:
        hidden: width of the network, a multiple of 4.
        top: log-probabilities that an answer gives at most; 512 are all of them.
        bias: largest number that a request may add to a logit.
        jitter: deviation of noise on every logit, of an endpoint that changes its answers: another
            each time that one attacker asks the same question, and the same ones again for the
            next attacker.
        seed: of the split and of the training.
    """
    prose = language.novel("persuasion")
    words = text.byte_pair(prose, VOCABULARY)
    shape = gpt.Shape(vocabulary=words.size, width=hidden, layers=2, context=WINDOW)
    ids = np.array(words.encode(prose))
    passages = distinct(ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW))
    passages = passages[
        np.random.default_rng(spawn(seed, "parts", "served")).permutation(len(passages))
    ]
    public, rest = passages[:PUBLIC], passages[PUBLIC:]
    key = {**gpt.recipe(shape, LESSON), "rows": rest, "seed": seed}
    state = cached("gpt", key, lambda: gpt.train(rest, shape, LESSON, seed), code=gpt.train)
    return _served_head.scene_of(
        "served_novel",
        states=_states(state, shape),
        head=np.asarray(state["tokens"], dtype=np.float64),
        scale=np.asarray(state["norm"], dtype=np.float64),
        codec=text.codec(words),
        public=Data("public", Modality.LANGUAGE, public),
        server=CompletionsServer({}, most=top, bias=bias, jitter=jitter),
        digest=digest({"version": hartley.__version__, **key, "limits": [top, bias, jitter]}),
        settings=Settings(seed=seed),
        facts={"parameters": sum(a.size for a in state.values())},
    )


def _states(state: dict[str, NDArray[Any]], shape: gpt.Shape) -> _served_head.States:
    """Return the hidden states of the network in double precision."""

    def states(tokens: NDArray[Any]) -> NDArray[Any]:
        import torch

        parameters = {name: torch.from_numpy(a.astype(np.float64)) for name, a in state.items()}
        rows = np.asarray(tokens, dtype=np.int64)[:, -shape.context :]
        ids = torch.from_numpy(np.maximum(rows, 0))
        places = torch.arange(rows.shape[1]).expand(rows.shape)
        with torch.inference_mode():
            out = gpt.hidden(parameters, shape, ids, places, None).numpy()
        return np.asarray(out[np.arange(len(rows)), text.lengths(rows) - 1])

    return states
