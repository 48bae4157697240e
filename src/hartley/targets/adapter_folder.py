"""A fine-tuned adapter (LoRA …) in a local folder of ``peft``, with the model that it adapts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from hartley.core import Model
from hartley.core.errors import MissingExtra, UsageError
from hartley.targets.huggingface import from_network, load_network
from hartley.targets.identity import of_folder
from hartley.targets.model_folder import CONFIG, check_tensors, read_object

ADAPTER, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and not a whole model."""
    return (folder / ADAPTER).is_file() and not (folder / CONFIG).is_file()


def base_of(folder: Path, base: str = "") -> Path:
    """Return the folder of the model that an adapter adapts.

    Args:
        folder: of the adapter; its ``adapter_config.json`` names a folder, as seen from the
            current folder or from this one.
        base: a folder that is taken instead.

    Raises:
        UsageError: neither is a folder with a model.
    """
    if base:
        if not (Path(base) / CONFIG).is_file():
            raise UsageError(f"--base must be a folder with {CONFIG}, got {base}")
        return Path(base)
    stated = read_object(folder / ADAPTER).get("base_model_name_or_path")
    if isinstance(stated, str) and stated and "\0" not in stated:
        for place in (Path(stated), folder / stated):
            if (place / CONFIG).is_file():
                return place
    raise UsageError(
        f"{folder} is an adapter of {stated!r:.80}, which is not a folder here: name the folder of "
        "the model that it adapts with --base"
    )


def adapter(folder: Path, base: Path, *, dtype: str = "float32") -> tuple[Model, Model | None]:
    """Load an adapter and its base; both share the weights of the base.

    Nothing is fetched, no pickle is read, and no code of either folder runs.

    Args:
        folder: ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: the folder of the base model.
        dtype: ``float32``, ``bfloat16`` or ``float16``.

    Returns:
        The adapted model, and the same with its adapter switched off; None in place of the latter
        for soft prompts, which are not layers.

    Raises:
        UsageError: the folder does not contain an adapter that fits the base.
        MissingExtra: peft or transformers is not installed.
    """
    adapted, identity = load_adapted(folder, base, dtype)
    if adapted.active_peft_config.is_prompt_learning:
        return from_network(adapted, name=folder.name, identity=identity), None
    layers = adapted.base_model
    whole = adapted.get_base_model()
    return (
        from_network(
            whole, name=folder.name, identity=identity, ready=layers.enable_adapter_layers
        ),
        from_network(whole, name=base.name, ready=layers.disable_adapter_layers),
    )


def merged_network(folder: Path, base: Path, dtype: str = "float32") -> tuple[Any, str]:
    """Load an adapter into the weights of its base, as one network; and its identity.

    Raises:
        UsageError: the folder does not contain an adapter that fits the base, or it is a soft
            prompt.
        MissingExtra: peft or transformers is not installed.
    """
    adapted, identity = load_adapted(folder, base, dtype)
    if adapted.active_peft_config.is_prompt_learning:
        raise UsageError(f"{folder} must be an adapter of weights, got a soft prompt")
    return adapted.merge_and_unload().eval(), identity


def load_adapted(folder: Path, base: Path, dtype: str) -> tuple[Any, str]:
    """Return the network of an adapter and its base, as ``peft`` has it, and its identity.

    Raises:
        UsageError: the folder does not contain an adapter that fits the base.
        MissingExtra: peft or transformers is not installed.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise MissingExtra("peft", "language") from error
    config = read_object(folder / ADAPTER)
    if config.get("auto_mapping"):
        raise UsageError(f"{folder / ADAPTER} must not ask for code, got auto_mapping: remove it")
    if not (folder / WEIGHTS).is_file():
        raise UsageError(
            f"{folder} must hold {WEIGHTS}: save the adapter with safe_serialization=True"
        )
    stored = check_tensors(folder / WEIGHTS)
    network = load_network(base, dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is absent is checked below
            adapted: Any = PeftModel.from_pretrained(network, folder, local_files_only=True)
        # With "auto" the library would look the base up on the network.
        expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    except Exception as error:  # the library believes what a folder states, and fails in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise UsageError(
            f"{folder} must contain an adapter of {base}: {reason}; is it the right --base?"
        ) from error
    if absent := sorted(expected.keys() - stored.keys()):
        raise UsageError(
            f"{folder / WEIGHTS} must hold all weights of the adapter, got none for {absent[0]!r}"
        )
    if broken := [name for name, value in expected.items() if not bool(value.isfinite().all())]:
        raise UsageError(f"the weights of {folder} must be finite, got NaN or inf in {broken[0]!r}")
    identity = f"{of_folder(folder)} {of_folder(base)} {dtype}"
    adapted.eval()
    return adapted, identity
