"""Any causal transformer as a ``Model``, from its hidden states and its head.

Rows that share their beginnings are read as a tree: each shared token goes through the network
once, and a mask keeps the branches apart. A thousand candidates after one prefix cost little more
than the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output
from hartley.core.errors import RunError
from hartley.kit.language import text
from hartley.models.tails import TailNetwork, Tails
from hartley.models.token_states import Head, Hidden, TokenStates, Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Reading = Callable[["Tensor", "Tensor"], "Tensor"]
"""(logits (m, vocabulary), the tokens that came (m,)) → (m, …) numbers about them."""

CHUNK = 2**22
"""Logits that are read at once: they should stay in the processor's cache."""


def causal(
    name: str,
    hidden: Hidden,
    head: Head,
    *,
    vocabulary: int,
    context: int,
    output: Output = Output.LOGITS,
    weights: Callable[[], Mapping[str, NDArray[Any]]] | None = None,
    offers: Access = Access.LABELS | Access.SCORES,
    facts: Mapping[str, Any] | None = None,
    worth: int = 1,
    identity: str = "",
    whole: Whole | None = None,
    half: bool = False,
    tails: TailNetwork | None = None,
) -> Model:
    """Return a causal language model as a ``Model``, with all that one of tokens can do.

    Args:
        name: what to call it.
        hidden: the network up to its last norm.
        head: last hidden states → logits.
        vocabulary: number of tokens.
        context: tokens it can read; longer rows lose their beginning.
        output: ``LOGITS`` or ``PROBABILITIES``.
        weights: its parameters, where an attacker may see them.
        offers: what an attacker may use.
        facts: anything else worth carrying.
        identity: a digest that is unique to these weights; empty if not declared.
        worth: tokens that rows must share to be read as a tree: a small network reads them sooner
            than the tree is made.
        whole: the network's own forward pass, where ``hidden`` and ``head`` were taken out of it:
            it is asked wherever they do not give the same.
        half: the network computes in half precision.
        tails: the network as it goes on from a beginning that it has read: the model then has
            ``tail_score``, and ``token_slope`` where it offers gradients.
    """
    going_on = Tails(name, context, vocabulary, tails, whole) if tails is not None else None
    states = TokenStates(name, vocabulary, context, hidden, head, worth, whole, half)
    chunk = min(512, max(64, CHUNK // vocabulary))

    def logits(tokens: NDArray[Any]) -> NDArray[Any]:
        rows = _cropped(np.asarray(tokens, dtype=np.int64), context)
        # An empty row says nothing of the next token: all are as likely.
        out = np.zeros((len(rows), vocabulary), dtype=np.float32)
        last = text.lengths(rows) - 1
        for part in states.read(rows):
            here = part.places == last[part.rows]
            out[part.rows[here]] = _answers(part.head, part.states, here)
        return out

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        out = logits(tokens)
        if output is Output.PROBABILITIES:
            np.exp(out - out.max(1, keepdims=True), out=out)
            out /= out.sum(1, keepdims=True)
        return out

    def per_token(tokens: NDArray[Any], read: Reading, width: int) -> NDArray[np.float64]:
        """(n, t−1, width): what ``read`` makes of the law of every token that follows another."""
        rows = np.asarray(tokens, dtype=np.int64)
        if rows.shape[1] > context:
            raise RunError(
                f"texts for {name} must have at most {context} tokens, got {rows.shape[1]}"
            )
        out = np.zeros((len(rows), max(rows.shape[1] - 1, 0), width))
        for part in states.read(rows):
            where, places = part.rows, part.places
            following = rows[where, np.minimum(places + 1, rows.shape[1] - 1)]
            goes_on = np.flatnonzero((places + 1 < rows.shape[1]) & (following >= 0))
            for first in range(0, len(goes_on), chunk):
                some = goes_on[first : first + chunk]
                numbers = _read(part.head, part.states, some, following[some], read)
                out[where[some], places[some]] = numbers
        return out

    return Model(
        name,
        Modality.LANGUAGE,
        query,
        output,
        vocabulary,
        score=lambda tokens: per_token(tokens, _likelihood, 1)[..., 0],
        moments=lambda tokens: per_token(tokens, _moments, 3),
        generate=lambda tokens, new, seed: text.sample(logits, tokens, new, seed),
        weights=weights,
        tail_score=going_on.tail_score if going_on and offers & Access.SCORES else None,
        token_slope=going_on.token_slope if going_on and offers & Access.GRADIENTS else None,
        offers=offers,
        identity=identity,
        facts={"context": context, **(facts or {})},
    )


def _cropped(rows: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Rows without the beginnings that do not fit."""
    if rows.shape[1] <= context:
        return rows
    return text.pad([[i for i in row if i >= 0][-context:] for row in rows.tolist()])


def _answers(head: Head, states: Tensor, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        picked = states[torch.from_numpy(np.flatnonzero(chosen))]
        answers: NDArray[np.float32] = head(picked).float().numpy()
    return answers


def _read(
    head: Head,
    states: Tensor,
    some: NDArray[np.int64],
    following: NDArray[np.int64],
    read: Reading,
) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        logits = head(states[torch.from_numpy(some)]).float()
        answers: NDArray[np.float32] = read(logits, torch.from_numpy(following)).numpy()
    return answers


def _likelihood(logits: Tensor, following: Tensor) -> Tensor:
    """Log-probability (m, 1) of the token that came."""
    return logits.gather(1, following[:, None]) - logits.logsumexp(1, keepdim=True)


def _moments(logits: Tensor, following: Tensor) -> Tensor:
    """The same, with mean and standard deviation (m, 3) of it under the model's own law.

    A logit is a log-probability but for a constant, so the moments are those of the logits; the
    deviations are squared about the mean, because a difference of squares loses precision in
    float32.
    """
    import torch

    law = logits.softmax(1)
    mean = (law * logits).sum(1, keepdim=True)
    spread = (law * (logits - mean).square_()).sum(1, keepdim=True).sqrt_()
    total = logits.logsumexp(1, keepdim=True)
    return torch.cat([logits.gather(1, following[:, None]) - total, mean - total, spread], 1)
