"""A causal language model of the ``transformers`` library, from a local folder, as a ``Model``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core import Access, Model, Output
from hartley.core.errors import MissingExtra, UsageError
from hartley.models.causal import causal
from hartley.models.token_states import Head, Hidden, Whole
from hartley.targets.identity import of_folder
from hartley.targets.model_folder import (
    CONFIG,
    check_folder,
    check_loaded,
    check_size,
    read_object,
)
from hartley.targets.network_tails import NetworkTails

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
        dtype: one of ``DTYPES``.
        offers: capabilities that an attacker may use.

    Raises:
        UsageError: the folder does not contain such a model, or what it states does not fit what
            it holds.
        MissingExtra: transformers is not installed.
    """
    network = load_network(Path(folder), dtype)
    return from_network(
        network,
        name=name or Path(folder).name,
        output=output,
        offers=offers,
        identity=f"{of_folder(Path(folder))} {dtype}",
    )


def load_network(folder: Path, dtype: str = "float32") -> Any:
    """Load the network of a local folder, in evaluation mode; see :func:`huggingface`.

    Raises:
        UsageError: the folder does not contain such a model, or what it states does not fit what
            it holds.
        MissingExtra: transformers is not installed.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise MissingExtra("transformers", "language") from error
    if dtype not in DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    config, tensors = check_folder(folder)
    library: Any = AutoModelForCausalLM
    try:
        stated = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            empty = library.from_config(stated, trust_remote_code=False)
        check_size(folder, empty, tensors, quantised="quantization_config" in config)
        with _without_bars():
            network, info = library.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except UsageError:
        raise
    except Exception as error:  # the library believes what a folder states, and fails in any way
        lines = str(error).splitlines() or [""]
        reason = f"{type(error).__name__}: {' '.join(lines)[:200]}"
        raise UsageError(f"{folder} must contain a causal language model: {reason}") from error
    try:
        check_loaded(folder, network, info, tensors)
    except UsageError as error:
        if dtype == "float16" and "finite" in str(error):
            raise UsageError(f"{error}; {FLOAT16}") from error
        raise
    return network.eval()


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep the library from drawing bars over what a run prints."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


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

    Raises:
        UsageError: the network does not read token ids alone, or not from left to right.
    """
    whole = forward_pass(network, ready)
    hidden, head = parts(network, ready)
    return causal(
        name,
        hidden,
        head,
        vocabulary=_vocabulary(name, whole),
        context=context_of(network),
        output=output,
        offers=offers,
        identity=identity,
        facts={"parameters": sum(p.numel() for p in network.parameters()), **(facts or {})},
        whole=whole,
        half=any(p.element_size() < 4 for p in network.parameters()),
        tails=NetworkTails(network, ready),
    )


def forward_pass(network: Any, ready: Callable[[], None] = lambda: None) -> Whole:
    """Return a network's own forward pass, (b, t) token ids → (b, t, vocabulary) logits."""

    def whole(ids: Tensor) -> Tensor:
        ready()
        logits: Tensor = network(input_ids=ids, use_cache=False).logits
        # Soft prompts are read before the tokens, and answered like them.
        return logits[:, -ids.shape[1] :].float()

    return whole


LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
"""Names that configurations give to the longest text a network reads."""
FLOAT16 = "float16 ends at 65,504: --dtype bfloat16 has the range of float32"
DTYPES = ("float32", "bfloat16", "float16")
"""What the weights of a network may be held in."""
UNLIMITED = 2**20
"""The longest text of a network that states no length, such as a state-space model."""


def context_of(network: Any) -> int:
    """Return how many tokens a network can read, beside those of a soft prompt."""
    config = network.config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    stated = [getattr(config, name, None) for name in LENGTHS]
    context = next((int(n) for n in stated if isinstance(n, int) and n > 0), UNLIMITED)
    prompts = getattr(network, "peft_config", None) or {}
    taken = [getattr(prompt, "num_virtual_tokens", 0) or 0 for prompt in dict(prompts).values()]
    return max(2, context - max(taken, default=0))


def context_stated(folder: Path) -> int:
    """Return how many tokens the model of a folder reads, by its ``config.json`` if there is one.

    Raises:
        UsageError: the file is not a configuration.
    """
    if not (folder / CONFIG).is_file():
        return UNLIMITED
    config = read_object(folder / CONFIG)
    stated = [config.get(name) for name in LENGTHS]
    return next((n for n in stated if isinstance(n, int) and n > 1), UNLIMITED)


def _vocabulary(name: str, whole: Whole) -> int:
    """Return the size of a network's vocabulary, and check that it reads from left to right.

    Raises:
        UsageError: it cannot be asked with token ids alone, or what comes later moves its answers.
    """
    import torch

    try:
        with torch.inference_mode():
            answers = [whole(torch.tensor([ids]))[0, 0] for ids in ([0, 1], [0, 0])]
    except Exception as error:  # any network, any error
        why = " ".join(str(error).split())[:160]
        raise UsageError(
            f"{name} must be a language model that reads token ids alone, got "
            f"{type(error).__name__}: {why}"
        ) from error
    if not torch.allclose(answers[0], answers[1], atol=1e-5, rtol=1e-4):
        raise UsageError(
            f"{name} must be a causal language model, got one whose answers depend on later tokens"
        )
    return len(answers[0])


def parts(network: Any, ready: Callable[[], None] = lambda: None) -> tuple[Hidden, Head]:
    """Return a network's hidden states and its head as functions.

    They are as much of the network as its library names; ``forward_pass`` is all of it.
    """

    def hidden(ids: Tensor, positions: Tensor, sees: Tensor | None) -> Tensor:
        import torch

        ready()
        decoder, last = network.get_decoder(), network.get_output_embeddings()
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
        answers: Tensor = network.get_output_embeddings()(states).float()
        return answers

    return hidden, head
