"""Scenes that hold texts, for games that ask about tokens: the model's codec makes them."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Codec, Data, Form, Scene
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_tokens(scene: Scene) -> Scene:
    """Return the scene with each part that is text as the tokens of its model.

    All parts are padded to one width, so that members and non-members look alike. ``facts["zlib"]``
    keeps how many bytes zlib leaves of each text (arXiv:2012.07805).

    Raises:
        UsageError: there are texts, and the model has no codec to make tokens of them.
    """
    parts = {"train": scene.train, "holdout": scene.holdout, **scene.extra}
    texts = {n: d for n, d in parts.items() if d is not None and d.form is Form.TEXT}
    if not texts:
        return scene
    codec = scene.model.codec if scene.model is not None else None
    if codec is None:
        first = next(iter(texts.values()))
        raise UsageError(
            f"the records {first.name!r} are texts: the model of {scene.name} must have a codec "
            "that makes tokens of them, got None"
        )
    made = {name: _encoded(data, codec) for name, data in texts.items()}
    width = max(data.x.shape[1] for data in made.values())
    made = {name: replace(data, x=_padded(data.x, width)) for name, data in made.items()}
    return replace(
        scene,
        train=made.pop("train", scene.train),
        holdout=made.pop("holdout", scene.holdout),
        extra={**scene.extra, **made},
    )


def _encoded(data: Data, codec: Codec) -> Data:
    texts = [str(text) for text in data.x]
    tokens = np.asarray(codec.encode(texts), dtype=np.int64)
    compressed = np.array([len(zlib.compress(text.encode())) for text in texts])
    facts = {**data.facts, "zlib": data.facts.get("zlib", compressed)}
    return replace(data, x=tokens, form=Form.TOKENS, facts=facts)


def _padded(tokens: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    out = np.full((len(tokens), width), -1, dtype=np.int64)
    out[:, : tokens.shape[1]] = tokens
    return out
