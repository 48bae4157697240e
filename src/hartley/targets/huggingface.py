"""A causal language model of the ``transformers`` library, from a local folder, as a ``Model``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core import Access, Model, Output
from hartley.core.errors import MissingExtra, UsageError
from hartley.models.causal import Head, Hidden, causal
from hartley.targets.identity import of_folder

if TYPE_CHECKING:
    from torch import Tensor


def huggingface(
    folder: Path | str,
    *,
    output: Output = Output.LOGITS,
    name: str = "",
    dtype: str = "float32",
    offers: Access = Access.LABELS | Access.SCORES,
) -> Model:
    """Load a causal language model from a local folder (``save_pretrained``'s form).

    Loading uses no network and no pickle, and runs no code of the folder.

    Args:
        folder: ``config.json`` and safetensors.
        output: the units of its answers, ``LOGITS`` or ``PROBABILITIES``.
        name: name in reports; the folder's name if empty.
        dtype: ``float32`` or ``bfloat16``.
        offers: capabilities that an attacker may use.

    Raises:
        UsageError: the folder does not contain such a model.
        MissingExtra: transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise MissingExtra("transformers", "language") from error
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(
            Path(folder),
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{folder} must contain a causal language model: {reason}") from error
    return from_network(
        network.eval(),
        name=name or Path(folder).name,
        output=output,
        offers=offers,
        identity=f"{of_folder(Path(folder))} {dtype}",
    )


def from_network(
    network: Any,
    *,
    name: str,
    output: Output = Output.LOGITS,
    offers: Access = Access.LABELS | Access.SCORES,
    ready: Callable[[], None] = lambda: None,
    facts: dict[str, Any] | None = None,
    identity: str = "",
) -> Model:
    """Return a ``transformers`` causal network as a ``Model``.

    Args:
        network: the network, in evaluation mode.
        name: name in reports.
        output: the units of its answers.
        offers: capabilities that an attacker may use.
        ready: called before every use, for example to choose an adapter.
        facts: anything else worth carrying.
        identity: a digest that is unique to these weights; empty if not declared.
    """
    hidden, head = parts(network, ready)
    return causal(
        name,
        hidden,
        head,
        vocabulary=int(network.config.vocab_size),
        context=int(network.config.max_position_embeddings),
        output=output,
        offers=offers,
        identity=identity,
        facts={"parameters": sum(p.numel() for p in network.parameters()), **(facts or {})},
    )


def parts(network: Any, ready: Callable[[], None] = lambda: None) -> tuple[Hidden, Head]:
    """Return a network's hidden states and its head as functions."""
    decoder, last = network.get_decoder(), network.get_output_embeddings()

    def hidden(ids: Tensor, positions: Tensor, sees: Tensor | None) -> Tensor:
        import torch

        ready()
        mask = None
        if sees is not None:
            # transformers uses a 4-D mask unchanged: 0 where a token attends, −∞ elsewhere.
            closed = torch.finfo(last.weight.dtype).min
            mask = torch.zeros(sees.shape, dtype=last.weight.dtype).masked_fill(~sees, closed)[
                :, None
            ]
        states: Tensor = decoder(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return states

    def head(states: Tensor) -> Tensor:
        answers: Tensor = last(states).float()
        return answers

    return hidden, head
