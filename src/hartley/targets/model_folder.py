"""A folder of a language model, checked before its library reads it: nothing runs, little is read.

Configurations and headers state sizes, and a library believes them: a billion layers are built one
by one, a table of 10¹² rows is allocated, weights that are absent are drawn at random. Here the
statements are compared with each other and with the bytes that are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError
from hartley.core.input_files import json_value, read_bytes

SAVE = ": model.save_pretrained(FOLDER) writes both, also of a model that was fetched by its name"
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
LARGEST = 2**26
"""Bytes of a configuration or an index."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""Endings of weights that run code as they are loaded."""
FLOATS = ("F64", "F32", "F16", "BF16")
_COUNTS = re.compile(r"(^|_)n?_?(hidden_)?(layers?|blocks?|experts?)$")
"""Names of what a network is built of one by one."""
_FEW = 1024
"""Layers or experts that any folder may state; more only with a tensor for each."""
_BUFFERS = 2**28
"""Numbers in a network's own tables (masks, positions), beside those in its weights."""

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of each tensor, by name."""


def check_folder(folder: Path) -> tuple[dict[str, Any], Tensors]:
    """Return the configuration and the tensors of a folder whose statements fit each other.

    Raises:
        UsageError: the folder is not there, has no configuration or no safetensors that can be
            read, asks for code of its own, or states more layers than it has tensors.
    """
    try:
        is_folder = folder.is_dir()
    except OSError:
        is_folder = False
    if not is_folder:
        raise UsageError(f"{folder} must be a folder with {CONFIG} and safetensors{SAVE}")
    if not (folder / CONFIG).exists():
        raise UsageError(f"{folder} must hold {CONFIG} and safetensors, got none{SAVE}")
    config = read_object(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise UsageError(
            f"{folder / CONFIG} must name a model_type, got {config.get('model_type')!r:.80}"
        )
    if config.get("auto_map"):
        raise UsageError(
            f"{folder / CONFIG} must not ask for code of the folder, got auto_map, which "
            f"never runs: remove it to load the library's own {config['model_type']!r:.80}"
        )
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path in _weight_files(folder):
        tensors |= check_tensors(path)
    if not tensors:
        raise UsageError(f"{folder} must hold weights, got safetensors without a tensor")
    for name, count in _counts(config):
        if not 0 < count <= max(_FEW, len(tensors)):
            raise UsageError(
                f"{folder / CONFIG} must state the {name} that its weights hold, got {count:.4g} "
                f"with {len(tensors)} tensors"
            )
    return config, tensors


def check_size(folder: Path, network: Any, tensors: Tensors, *, quantised: bool) -> None:
    """Check a network without memory (on torch's ``meta`` device) against the tensors of a folder.

    Args:
        folder: for the message.
        network: as its configuration builds it.
        tensors: of its weights.
        quantised: whether the weights are packed, with several in a number.

    Raises:
        UsageError: it has more parameters than its weights, weights that are not floats, or tables
            that would fill the memory.
    """
    parameters = dict(network.named_parameters())
    stated = sum(parameter.numel() for parameter in parameters.values())
    present = sum(math.prod(shape) for _, shape in tensors.values())
    if not quantised and stated > 1.01 * present + 1000:
        raise UsageError(
            f"{folder} must hold the weights that its {CONFIG} states, got {present:.4g} numbers "
            f"for a network of {stated:.4g}"
        )
    tables = sum(buffer.numel() for buffer in network.buffers())
    if tables > max(_BUFFERS, 4 * present):
        raise UsageError(
            f"{folder / CONFIG} must state sizes that fit into memory, got tables of {tables:.4g} "
            "numbers (is a length of its texts too large?)"
        )
    prefix = getattr(network, "base_model_prefix", "")
    for name, (dtype, shape) in tensors.items() if not quantised else ():
        parameter = parameters.get(name, parameters.get(f"{prefix}.{name}"))
        if parameter is not None and dtype not in FLOATS:
            raise UsageError(f"the weights of {folder} must be floats, got {dtype} in {name!r:.80}")
        if parameter is not None and tuple(parameter.shape) != shape:
            raise UsageError(
                f"{folder} must hold weights of the shapes that its {CONFIG} states, got {shape} "
                f"in {name!r:.80} for {tuple(parameter.shape)}"
            )


def check_loaded(folder: Path, network: Any, info: Mapping[str, Any], tensors: Tensors) -> None:
    """Check that a network was filled from its folder, with finite numbers.

    Args:
        folder: for the message.
        network: as it was loaded.
        info: what the library says of missing and unexpected tensors.
        tensors: of its weights.

    Raises:
        UsageError: weights are absent, most have no place in the network, or one is not finite.
    """
    import torch

    missing = sorted(map(str, info.get("missing_keys") or ()))
    if missing:
        raise UsageError(
            f"{folder} must hold all weights of its network, got none for {missing[0]!r:.80}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    unexpected = len(info.get("unexpected_keys") or ())
    if unexpected > len(tensors) / 2:
        raise UsageError(
            f"the weights of {folder} must be those of its {CONFIG}, got {unexpected} of "
            f"{len(tensors)} tensors that have no place in it"
        )
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise UsageError(f"the weights of {folder} must be finite, got NaN or inf in {name!r}")


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file of a folder holds.

    Raises:
        UsageError: it is absent, too large, or not a JSON object.
    """
    try:
        value = json_value(read_bytes(path, "the file", UsageError, LARGEST))
    except ValueError as error:
        raise UsageError(f"{path} must be JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} must be a JSON object, got {type(value).__name__}")
    return value


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists() or (folder / WEIGHTS).is_symlink():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        hint = f", got {pickles[0]}, which can run code as it is loaded" if pickles else ""
        raise UsageError(f"{folder} must hold {WEIGHTS}{hint or ', got none'}{SAVE}")
    places = read_object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UsageError(f"{folder / INDEX} must have a weight_map of tensors to files")
    for name in places.values():
        plain = isinstance(name, str) and Path(name).name == name and ".." not in name
        if not plain or not name.endswith(".safetensors"):
            raise UsageError(
                f"{folder / INDEX} must name safetensors in its own folder, got {name!r:.80}"
            )
    return [folder / name for name in sorted(set(places.values()))]


def check_tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return what the header of a file states; the library checks it against the file's size."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():  # a folder, a pipe, a device, a loop of links, or absent
        raise UsageError(f"{path} must be a file of safetensors")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            slices = {name: file.get_slice(name) for name in names}
            return {
                name: (str(part.get_dtype()), tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path} must be safetensors: {error}") from error


def _counts(config: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the numbers of layers and experts that a configuration states, in parts of it too."""
    counts = []
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    for part in parts:
        for name, value in part.items():
            if _COUNTS.search(name) and isinstance(value, int) and not isinstance(value, bool):
                counts.append((name, value))
    return counts
