"""Continue texts with a small transformer, keys and values of each layer kept from token to token.

``text.sample`` reads each text anew for every token; here a token costs one token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language import gpt, text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BATCH = 64
"""Rows that are continued together."""


def continued(
    state: Mapping[str, Tensor],
    shape: gpt.Shape,
    tokens: NDArray[Any],
    new: int,
    seed: int,
    *,
    stop: int = text.PAD,
    keep_stop: bool = False,
    before: Tensor | None = None,
) -> NDArray[np.int64]:
    """Continue rows at temperature 1, or greedily.

    Args:
        state: parameters by name.
        shape: the network.
        tokens: (n, t) beginnings, padded with −1, none of them empty.
        new: most tokens to add. A row ends where the context does.
        seed: −1 for greedy. Each row draws its own stream, so that rows do not depend on company.
        stop: the token that ends a row.
        keep_stop: whether that token is among the answers.
        before: (m, width) vectors in place of an embedding before each row (a soft prompt).

    Returns:
        (n, new) token ids, −1 behind the end of a row.
    """
    rows = np.asarray(tokens, dtype=np.int64)
    out = np.full((len(rows), new), text.PAD, dtype=np.int64)
    draws = None if seed < 0 else np.random.default_rng(seed).random((len(rows), new))
    unique, back = np.arange(len(rows)), np.arange(len(rows))
    if draws is None:  # the same beginning has the same greedy end
        _, unique, back = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = unique[np.argsort(text.lengths(rows[unique]), kind="stable")]
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        uniform = None if draws is None else draws[some]
        out[some] = _batch(state, shape, rows[some], new, draws=uniform, stop=stop, before=before)
    if not keep_stop:
        out[out == stop] = text.PAD
    return out[unique[back.reshape(-1)]]


def _batch(
    state: Mapping[str, Tensor],
    shape: gpt.Shape,
    rows: NDArray[np.int64],
    new: int,
    *,
    draws: NDArray[np.float64] | None,
    stop: int,
    before: Tensor | None,
) -> NDArray[np.int64]:
    import torch

    sizes = text.lengths(rows)
    prompt = 0 if before is None else len(before)
    n, room = len(rows), shape.context - prompt
    out = np.full((n, new), text.PAD, dtype=np.int64)
    reader = Reader(state, shape, n, min(shape.context, prompt + int(sizes.max()) + new))
    with torch.inference_mode():
        if before is not None:
            reader.read(before.expand(n, *before.shape), torch.zeros(n, dtype=torch.long))
        ids = torch.from_numpy(np.maximum(rows[:, : sizes.max()], 0))
        places = prompt + torch.arange(ids.shape[1])
        states = reader.read(
            state["tokens"][ids] + state["positions"][places], torch.full((n,), prompt)
        )
        last = states[torch.arange(n), torch.from_numpy(sizes - 1)]
        live = np.flatnonzero(sizes < room)
        for step in range(new):
            if not len(live):
                break
            logits = last[torch.from_numpy(live)] @ state["tokens"].T
            chosen = _chosen(logits, None if draws is None else draws[live, step])
            out[live, step] = chosen
            goes_on = chosen != stop
            live, chosen = live[goes_on], chosen[goes_on]
            # A row whose context is full has had its last token.
            fits = sizes[live] + step + 1 < room
            live, chosen = live[fits], chosen[fits]
            if not len(live):
                break
            if step + 1 < new:
                at = torch.from_numpy(prompt + sizes[live] + step)
                x = state["tokens"][torch.from_numpy(chosen)] + state["positions"][at]
                last = last.clone()
                last[torch.from_numpy(live)] = reader.read(x[:, None], at, live)[:, 0]
    return out


def _chosen(logits: Tensor, draws: NDArray[np.float64] | None) -> NDArray[np.int64]:
    if draws is None:
        return np.asarray(logits.argmax(1).numpy(), dtype=np.int64)
    heap = logits.double().softmax(1).cumsum(1).numpy()
    return np.asarray((heap < draws[:, None] * heap[:, -1:]).sum(1), dtype=np.int64)


class Reader:
    """Reads embeddings into the network; keys and values of what it has read stay."""

    def __init__(self, state: Mapping[str, Tensor], shape: gpt.Shape, n: int, longest: int) -> None:
        import torch

        self.state, self.shape = state, shape
        size = (shape.layers, 2, n, shape.heads, longest, shape.width // shape.heads)
        self.past = torch.zeros(size)

    def read(self, x: Tensor, at: Tensor, rows: NDArray[np.int64] | None = None) -> Tensor:
        """Read embeddings (b, t, width) at the places ``at`` (b,) and after, of some rows.

        Returns:
            (b, t, width) hidden states behind the last norm.
        """
        import torch
        from torch.nn import functional

        state, shape = self.state, self.shape
        b, t, _ = x.shape
        whole = rows is None or len(rows) == self.past.shape[2]
        who = torch.arange(b) if rows is None else torch.from_numpy(rows)
        places = at[:, None] + torch.arange(t)
        reach = int(places.max()) + 1
        sees = torch.arange(reach) <= places[:, None, :, None]

        def norm(name: str, x: Tensor) -> Tensor:
            return functional.rms_norm(x, (shape.width,), state[name])

        for layer in range(shape.layers):
            flat = norm(f"{layer}.norm1", x) @ state[f"{layer}.qkv"].T
            q, k, v = flat.view(b, t, 3, shape.heads, -1).permute(2, 0, 1, 3, 4)
            for part, fresh in enumerate((k, v)):
                self.past[layer, part][who[:, None], :, places] = fresh
            # Of all rows the past is read where it lies; of some it is copied.
            keys, values = self.past[layer][:, slice(b) if whole else who, :, :reach]
            mixed = functional.scaled_dot_product_attention(
                q.transpose(1, 2), keys, values, attn_mask=sees
            )
            x = x + mixed.transpose(1, 2).reshape(b, t, -1) @ state[f"{layer}.out"].T
            inner = norm(f"{layer}.norm2", x) @ state[f"{layer}.up"].T
            x = x + functional.gelu(inner) @ state[f"{layer}.down"].T
        return norm("norm", x)
