"""A soft prompt of a small transformer: free vectors before every text (arXiv:2104.08691).

A set of parameters may hold one under the name ``soft_prompt``, (n, width): what comes out of the
embedding at the first n places, positions included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hartley.kit.language import gpt

if TYPE_CHECKING:
    from torch import Tensor

SOFT_PROMPT = "soft_prompt"


def room(state: Mapping[str, object], shape: gpt.Shape) -> int:
    """Return how many tokens of a text fit behind the soft prompt of ``state``, if it has one."""
    prompt = state.get(SOFT_PROMPT)
    return shape.context - (0 if prompt is None else len(prompt))  # type: ignore[arg-type]


def hidden(
    state: Mapping[str, Tensor],
    shape: gpt.Shape,
    ids: Tensor,
    positions: Tensor,
    sees: Tensor | None,
    *,
    tap: gpt.Tap | None = None,
) -> Tensor:
    """Return last hidden states (b, t, width) as ``gpt.hidden``, behind the prompt if there is one.

    Args:
        state: parameters by name.
        shape: the network; prompt and text fit into its context.
        ids: (b, t) token ids, none of them padding.
        positions: (b, t) place of each token in its row, the prompt not counted.
        sees: (b, t, t) which token attends to which; None means all before it and itself. Every
            token sees the whole prompt.
        tap: as of ``gpt.hidden``; it reads the prompt's places too.
    """
    import torch

    prompt = state.get(SOFT_PROMPT)
    if prompt is None:
        return gpt.hidden(state, shape, ids, positions, sees, tap=tap)
    (b, t), n = ids.shape, len(prompt)
    if sees is not None:
        first = torch.ones(n, n, dtype=torch.bool).tril().expand(b, n, n)
        above = torch.cat([first, torch.zeros(b, n, t, dtype=torch.bool)], 2)
        below = torch.cat([torch.ones(b, t, n, dtype=torch.bool), sees], 2)
        sees = torch.cat([above, below], 1)

    def with_prompt(name: str, input_: Tensor, output: Tensor) -> Tensor:
        if name == "tokens":
            output = torch.cat([prompt.expand(b, n, shape.width), output[:, n:]], 1)
        return output if tap is None else tap(name, input_, output)

    before = torch.arange(n).expand(b, n)
    states = gpt.hidden(
        state,
        shape,
        torch.cat([torch.zeros(b, n, dtype=ids.dtype), ids], 1),
        torch.cat([before, positions + n], 1),
        sees,
        tap=with_prompt,
    )
    return states[:, n:]
