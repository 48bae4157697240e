"""A scene of a language model behind a local server, with symbols planted in its output head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Data, Ensemble, Modality, Model, Scene, Settings
from hartley.games.extraction.head_extraction import HEAD, Head, OutputHead, served
from hartley.kit.cache import digest as content_digest
from hartley.kit.ensemble_of import separate
from hartley.targets.completions_server import CompletionsServer

if TYPE_CHECKING:
    from numpy.typing import NDArray

States = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Tokens (n, t), padded with −1 → hidden states (n, hidden) behind the last norm."""

PLANTED_ROWS, PLANTED_SYMBOLS, PLANTED_STEP = 16, 4, 0.02
"""Rows that carry a symbol, symbols, and their distance as a share of the mean norm of a row."""


def scene_of(
    name: str,
    *,
    states: States,
    head: NDArray[Any],
    scale: NDArray[Any],
    codec: Codec,
    public: Data,
    server: CompletionsServer,
    digest: str,
    settings: Settings,
    facts: Mapping[str, Any],
) -> Scene:
    """Return the scene; every victim is served under a name of its own, on the same port.

    Args:
        name: of the scene.
        states: the network below its head.
        head: (vocabulary, hidden) the public head.
        scale: (hidden,) of the last norm.
        codec: its size is the vocabulary.
        public: the attacker's texts, as tokens.
        server: what serves.
        digest: of all that a result depends on.
        settings: of the scene.
        facts: for reports.
    """

    def behind(weights: NDArray[Any]) -> Model:
        @cache
        def turned(kind: np.dtype[Any]) -> NDArray[Any]:
            return np.asarray(weights.T, dtype=kind)

        def logits(tokens: NDArray[Any]) -> NDArray[Any]:
            hidden = states(tokens)
            return np.asarray(hidden @ turned(hidden.dtype))

        # By its head: the noise of an endpoint repeats with the victim, whatever was served before.
        return server.model(f"{name} {content_digest({HEAD: weights})[:16]}", logits, codec)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del seed
        return separate([behind(data.facts.get(HEAD, head)) for _ in include])

    def planted(scene: Scene) -> Head:
        step = PLANTED_STEP * float(np.linalg.norm(head, axis=1).mean())
        return Head(head, lambda weights: served(scene, weights), step, scale)

    limits = {"log-probabilities an answer": server.most, "largest logit bias": server.bias}
    return Scene(
        name=name,
        modality=Modality.LANGUAGE,
        digest=digest,
        model=replace(behind(head), name=name),
        train=replace(public, name="train"),
        fit=fit,
        extra={"public": public},
        parts=(OutputHead(planted, PLANTED_ROWS, PLANTED_SYMBOLS),),
        settings=settings,
        facts={"vocabulary": codec.size, "hidden size": head.shape[1], **limits, **facts},
    )
