"""Encode the texts of a scene as tokens, by its model's codec, for games that need tokens."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Codec, Data, Form, Scene
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_tokens(scene: Scene) -> Scene:
    """Return the scene with its texts as int64 tokens of its model.

    All parts are padded to one width, so that members and non-members look alike. ``facts["zlib"]``
    is the number of bytes of each text after zlib compression (arXiv:2012.07805).

    Raises:
        UsageError: the scene has texts, and its model has no codec.
    """
    scene = _of_words(scene)
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


def _of_words(scene: Scene) -> Scene:
    """Return the scene with the tokens of all parts as int64: small unsigned types have no −1."""
    return with_parts(
        scene,
        lambda data: data if data.x.dtype == np.int64 else replace(data, x=data.x.astype(np.int64)),
    )


def with_scored_texts(scene: Scene) -> tuple[Scene, int]:
    """Return the scene without texts that have no scored token, and how many these are.

    A text of one token or none has no log-probability, so that it says nothing of membership. Texts
    with labels are kept: their labels are scored.
    """
    left_out = 0

    def scored(data: Data) -> Data:
        nonlocal left_out
        keep = (data.x >= 0).sum(1) > 1
        if data.y is not None or keep.all():
            return data
        left_out += int((~keep).sum())
        facts = {
            name: value[keep] if np.shape(value)[:1] == (len(keep),) else value
            for name, value in data.facts.items()
        }
        return replace(data, x=data.x[keep], facts=facts)

    return with_parts(scene, scored, only=("train", "holdout", "pool")), left_out


def with_parts(
    scene: Scene, change: Callable[[Data], Data], only: Collection[str] | None = None
) -> Scene:
    """Return the scene with its rows of tokens changed, or those of some parts only."""

    def changed(name: str, data: Data | None) -> Data | None:
        if data is None or data.form is not Form.TOKENS or (only and name not in only):
            return data
        kind, shape = getattr(getattr(data.x, "dtype", None), "kind", ""), np.shape(data.x)
        return change(data) if kind in "iu" and kind and len(shape) == 2 else data

    extra = {name: changed(name, data) or data for name, data in scene.extra.items()}
    train, holdout = changed("train", scene.train), changed("holdout", scene.holdout)
    same = train is scene.train and holdout is scene.holdout
    if same and all(extra[name] is scene.extra[name] for name in extra):
        return scene
    return replace(scene, train=train, holdout=holdout, extra=extra)


def _encoded(data: Data, codec: Codec) -> Data:
    # Half a character, as in a text that was cut, is not one that a codec knows.
    texts = [str(text).encode("utf-8", "replace").decode() for text in data.x]
    tokens = np.asarray(codec.encode(texts), dtype=np.int64)
    compressed = np.array([len(zlib.compress(text.encode())) for text in texts])
    facts = {**data.facts, "zlib": data.facts.get("zlib", compressed)}
    return replace(data, x=tokens, form=Form.TOKENS, facts=facts)


def _padded(tokens: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    out = np.full((len(tokens), width), -1, dtype=np.int64)
    out[:, : tokens.shape[1]] = tokens
    return out
