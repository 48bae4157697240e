"""Encode the texts of a scene as tokens, by its model's codec, for games that need tokens."""

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
    """Return the scene with its texts as tokens of its model.

    All parts are padded to one width, so that members and non-members look alike. ``facts["zlib"]``
    is the number of bytes of each text after zlib compression (arXiv:2012.07805).

    Raises:
        UsageError: the scene has texts, and its model has no codec.
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
    encoded = {name: _encoded(data, codec) for name, data in texts.items()}
    width = max(data.x.shape[1] for data in encoded.values())
    encoded = {name: replace(data, x=_padded(data.x, width)) for name, data in encoded.items()}
    return replace(
        scene,
        train=encoded.pop("train", scene.train),
        holdout=encoded.pop("holdout", scene.holdout),
        extra={**scene.extra, **encoded},
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
