"""Continue prompts with a language model, drawing each token as a watermark says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language import gpt, gpt_decode, text
from hartley.kit.language.marks.text_mark import Step, TextMark, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Advance = Callable[[Any], Any]
"""Next tokens (n,) → logits (n, vocabulary) of those after them."""

Begin = Callable[[Any, int], "tuple[Any, Advance]"]
"""Prompts (n, t) without padding, and how many tokens follow → logits (n, vocabulary), Advance."""

BATCH = 64
"""Texts that are written together."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Texts that were written.

    Attributes:
        tokens: (n, length) the continuations.
        entropy: (n,) mean entropy of the model's law at their tokens, in bits.
    """

    tokens: NDArray[np.int64]
    entropy: NDArray[np.float64]


def write(
    begin: Begin,
    prompts: NDArray[Any],
    length: int,
    seed: int,
    mark: TextMark | None = None,
    *,
    keys: NDArray[Any] | None = None,
    messages: NDArray[Any] | None = None,
    banned: int = -1,
    temperature: float = 1.0,
) -> Writing:
    """Continue each prompt by ``length`` tokens.

    Args:
        begin: the model.
        prompts: (n, t) token ids without padding.
        length: tokens of each continuation.
        seed: of the owner's own draws. Each text has a stream of its own.
        mark: None writes without a watermark.
        keys: (n,) the key of each text; needed with a mark.
        messages: (n, m) bits; None for a mark without a message.
        banned: a token that is never written (the end of a text), −1 for none.
        temperature: above 0; less makes the model surer of its tokens.
    """
    rows = np.asarray(prompts, dtype=np.int64)
    n = len(rows)
    keys = np.zeros(n, np.int64) if keys is None else np.asarray(keys, dtype=np.int64)
    messages = np.zeros((n, 0), np.int64) if messages is None else np.asarray(messages)
    draws = np.stack([np.random.default_rng([seed, i]).random(length) for i in range(n)])
    style = _Style(banned, temperature)
    parts = [
        _batch(begin, rows[some], draws[some], _Owner(mark, keys[some], messages[some]), style)
        for some in (slice(at, at + BATCH) for at in range(0, n, BATCH))
    ]
    return Writing(
        tokens=np.concatenate([part.tokens for part in parts]),
        entropy=np.concatenate([part.entropy for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class _Style:
    """How the model's law is sharpened, and which token it never writes."""

    banned: int
    temperature: float


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who writes a batch of texts."""

    mark: TextMark | None
    keys: NDArray[np.int64]
    messages: NDArray[np.int64]


def _batch(
    begin: Begin,
    rows: NDArray[np.int64],
    draws: NDArray[np.float64],
    owner: _Owner,
    style: _Style,
) -> Writing:
    n, length = draws.shape
    mark = owner.mark
    width = 0 if mark is None else mark.context
    whole = np.concatenate(
        [np.full((n, width), text.PAD), rows, np.empty((n, length), np.int64)], axis=1
    )
    met: list[set[bytes]] = [set() for _ in range(n)]
    entropy = np.zeros(n)
    logits, advance = begin(rows, length)
    for step in range(length):
        law = _softmax(logits, style)
        entropy -= (law * np.log2(np.maximum(law, 1e-300))).sum(1)
        at = width + rows.shape[1] + step
        if mark is None:
            tokens = drawn(law, draws[:, step])
        else:
            context = whole[:, at - width : at]
            fresh = np.array([_is_new(past, row) for past, row in zip(met, context, strict=True)])
            tokens = mark.choose(
                Step(law, context, owner.keys, fresh, draws[:, step], owner.messages)
            )
        whole[:, at] = tokens
        if step + 1 < length:
            logits = advance(tokens)
    return Writing(whole[:, width + rows.shape[1] :], entropy / max(1, length))


def _is_new(met: set[bytes], context: NDArray[Any]) -> bool:
    name = context.tobytes()
    new = name not in met
    met.add(name)
    return new


def _softmax(logits: Any, style: _Style) -> NDArray[np.float64]:
    x = np.asarray(logits, dtype=np.float64) / style.temperature
    if style.banned >= 0:
        x[:, style.banned] = -np.inf
    law = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(law / law.sum(1, keepdims=True))


def small_transformer(state: Mapping[str, Tensor], shape: gpt.Shape) -> Begin:
    """Return the small transformer of ``kit.language.gpt`` as a model to write with."""

    def begin(rows: NDArray[Any], length: int) -> tuple[Any, Advance]:
        import torch

        n, t = rows.shape
        reader = gpt_decode.Reader(state, shape, n, min(shape.context, t + length))
        at = [t]

        def read(ids: NDArray[Any], place: int) -> Any:
            with torch.inference_mode():
                tokens = torch.from_numpy(np.ascontiguousarray(ids))
                places = place + torch.arange(tokens.shape[1])
                x = state["tokens"][tokens] + state["positions"][places]
                states = reader.read(x, torch.full((n,), place))
                return (states[:, -1] @ state["tokens"].T).numpy()

        def advance(tokens: NDArray[Any]) -> Any:
            at[0] += 1
            return read(np.asarray(tokens)[:, None], at[0] - 1)

        return read(rows, 0), advance

    return begin
