"""A user's own network in a Python file: ``net.py:Net`` with its weights, or a function.

The file says how the network is built; its weights come from a file that holds nothing else, so
that to load them runs no code.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Access, Fit, Modality, Model, Output
from hartley.core.errors import BadModel, MissingExtra, UsageError
from hartley.kit.user_code import user_code
from hartley.targets.python_object import code_of_object, load_object
from hartley.targets.torch import from_torch

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training loops keep the weights beside their optimiser's state."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""

Gives = Literal["auto", "logits", "probabilities", "labels"]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What ``--model FILE.py:NAME`` is.

    Attributes:
        text: as the user wrote it.
        answer: a torch module, or a function: records (n, …) → answers.
        build: makes a module of the same form; None of a function.
        device: a torch device.
        gives: what it returns.
        classes: number of classes.
        modality: what it reads.
    """

    text: str
    answer: Any
    build: Callable[[], torch.nn.Module] | None
    device: str
    gives: Output
    classes: int
    modality: Modality

    @property
    def could_open(self) -> Access:
        """What ``--opened`` gives: the gradients of a module that returns scores."""
        slopes = self.gives is not Output.LABELS and _is_module(self.answer)
        return Access.GRADIENTS if slopes else Access.NOTHING

    def model(
        self,
        answer: Any,
        what: str,
        *,
        identity: str,
        fit: Fit | None = None,
        opened: bool = False,
    ) -> Model:
        """Wrap a module or a function that answers as this network does.

        Args:
            answer: the module or the function.
            what: it is, for messages: "--model net.py:Net".
            identity: a name that this model has and no other.
            fit: the training that attackers know.
            opened: give attackers the gradients of a module.

        Raises:
            UsageError: gradients of what is a function, or gives labels.
        """
        if opened and not self.could_open:
            raise UsageError(
                f"{what} must be a torch module that gives logits or probabilities for --opened"
            )
        slopes: dict[str, Any] = {}
        offers = Access.LABELS | Access.SCORES
        if self.gives is Output.LABELS:
            offers = Access.LABELS
        offers |= Access.TRAIN if fit is not None else Access(0)
        if _is_module(answer):
            wrapped = from_torch(
                answer,
                name=self.text,
                modality=self.modality,
                classes=self.classes,
                gives=self.gives,
                output=self.gives,
                device=self.device,
                identity=identity,
                offers=offers | (Access.GRADIENTS if opened else Access.NOTHING),
            )
            query = wrapped.query
            for name in ("grad", "slope") if opened else ():
                slopes[name] = within_user_code(wrapped.calls[name], what)
        else:
            query = self._asked(answer)

        def asked(x: NDArray[Any]) -> NDArray[Any]:
            with user_code(what):
                return query(x)

        return Model(
            self.text.rpartition(":")[2],
            self.modality,
            asked,
            self.gives,
            self.classes,
            identity=identity,
            fit=fit,
            offers=offers | (Access.GRADIENTS if opened else Access.NOTHING),
            calls=slopes,
        )

    def _asked(self, function: Callable[[Any], Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        def query(x: NDArray[Any]) -> NDArray[Any]:
            if not len(x):
                return np.empty((0,) if self.gives is Output.LABELS else (0, self.classes))
            return as_array(function(np.array(x)))

        return query


def within_user_code(call: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Return a callable whose errors are those of the user's own code."""

    def asked(*arguments: Any) -> Any:
        with user_code(what):
            return call(*arguments)

    return asked


def load_network(text: str, weights: str, device: str) -> tuple[Any, Callable[[], Any] | None]:
    """Return a module with its weights or a function, and how another module of its form is built.

    Args:
        text: ``FILE.py:NAME`` of a torch module, a class of modules, a function without arguments
            that returns a module, or a function of the records.
        weights: a file of ``WEIGHTS``; empty where the module comes with its own.
        device: a torch device.

    Raises:
        UsageError: there is nothing of the kind, or the weights are not those of this network.
    """
    flag = f"--model {text}"
    target = load_object(text, "--model")
    build = _builder(target, flag)
    if build is None:
        if weights:
            raise UsageError(
                f"--weights must go with a network, got {text}, a function of the records; let it "
                "load its weights itself"
            )
        return target, None
    with user_code(flag):
        module = build()
    if not _is_module(module):
        if callable(module) and not weights:
            return module, None
        raise UsageError(f"{flag} must return a torch module, got {type(module).__name__}")
    if weights:
        load_weights(module, Path(weights))
    elif isinstance(target, type):
        raise UsageError(
            f"--weights must be the file with the trained weights of {text}, got none: a network "
            "that is built anew was trained on nothing"
        )
    return module.to(checked_device(device)), build


def _builder(target: Any, flag: str) -> Callable[[], Any] | None:
    """Return what builds a module, or None where the target is a function of the records."""
    if _is_module(target):
        return lambda: copy.deepcopy(target)
    if not callable(target):
        raise UsageError(
            f"{flag} must be a torch module, its class or a function, got {type(target).__name__}"
        )
    needed = _needed(target)
    if not needed:
        builder: Callable[[], Any] = target
        return builder
    if isinstance(target, type) or len(needed) > 1:
        raise UsageError(
            f"{flag} must be built without arguments, got one that needs {', '.join(needed)}; "
            "write a function without arguments that returns it, and name that"
        )
    return None


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load the weights of a file into a module, all of them and no others.

    Raises:
        UsageError: the file is not there, holds something else, or weights of another network.
    """
    state = _state(path)
    wanted = module.state_dict()
    for prefix in PREFIXES:
        before = state and all(name.startswith(prefix) for name in state)
        if before and not all(name.startswith(prefix) for name in wanted):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    kind = type(module).__name__
    differences = [
        ("lacks", [name for name in wanted if name not in state]),
        ("has, unlike the network,", [name for name in state if name not in wanted]),
        (
            "has in another shape",
            [
                f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}"
                for name, value in wanted.items()
                if name in state and state[name].shape != value.shape
            ],
        ),
    ]
    if wrong := [f"{verb} {_listed(names)}" for verb, names in differences if names]:
        raise UsageError(f"{path} must hold the weights of {kind}; it {'; it '.join(wrong)}")
    module.load_state_dict(state)


def checked_device(device: str) -> str:
    """Return the device.

    Raises:
        UsageError: torch has no such device here.
    """
    try:
        import torch
    except ModuleNotFoundError as absent:
        raise MissingExtra("torch", "torch") from absent
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch's own lines are long; it names what it was built with in the first.
        known = ["cpu"] + [f"cuda:{k}" for k in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            known.append("mps")
        raise UsageError(
            f"--device must be a device that torch finds here ({', '.join(known)}), got {device!r}"
        ) from error
    return device


def described_device(device: str) -> str:
    """Return a device and its name, such as "cuda:0 (NVIDIA H200)"."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def identity_of(network: Network, answers: NDArray[Any]) -> str:
    """Return the identity of a network: its code, its weights, and what it answered.

    A function may read its weights from anywhere, so that only its answers show them.
    """
    from hartley.kit.cache import digest

    parts: list[Any] = [code_of_object(network.text), str(network.gives), answers]
    if _is_module(network.answer):
        state = network.answer.state_dict()
        parts.append({name: _bytes(value) for name, value in state.items()})
    return f"network:{digest(parts)[:32]}"


def probed(answer: Any, what: str, x: NDArray[Any], device: str, gives: str) -> tuple[Output, int]:
    """Ask about a few records; return what the answers are, and the number of classes.

    A network whose answers are one number a record has two classes. Labels do not say how many.

    Raises:
        UsageError: the answers are not an array with one row for each record.
    """
    declared = gives
    if gives == "auto":
        declared = "logits" if _is_module(answer) else "probabilities"
    output = Output(declared)
    with user_code(what):
        if _is_module(answer):
            import torch

            with torch.no_grad():
                rows = torch.from_numpy(np.array(x, np.float32)).to(device)
                given = answer.eval()(rows)
        else:
            given = answer(np.array(x))
        if isinstance(given, Mapping) or (isinstance(given, tuple) and not hasattr(given, "shape")):
            raise UsageError(
                f"{what} must return one array (records, classes), got a "
                f"{type(given).__name__}; write a function or a module that returns its scores"
            )
        answers = as_array(given)
    shape = tuple(answers.shape)
    if output is Output.LABELS:
        if len(shape) != 1 or shape[0] != len(x):
            raise UsageError(
                f"{what} must return one label for each of {len(x)} records, got shape {shape}; "
                "scores of classes need --gives logits or --gives probabilities"
            )
        return output, 0
    single = _is_module(answer) and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1))
    if not shape or shape[0] != len(x) or (len(shape) != 2 and not single):
        labels = "; labels need --gives labels" if shape == (len(x),) else ""
        raise UsageError(
            f"{what} must return {output} of shape ({len(x)}, classes) for {len(x)} records, got "
            f"{shape}{labels}"
        )
    return output, 2 if single else shape[1]


def check_units(model: Model, what: str, x: NDArray[Any]) -> NDArray[Any]:
    """Return a model's answers, once they are what the user said that they are.

    Raises:
        UsageError: they are not, or not finite.
    """
    try:
        answers = np.asarray(model.query(x))
    except BadModel as error:
        if "sum to 1" in str(error):
            raise UsageError(
                f"{what} must give logits, got rows that sum to 1: add --gives probabilities"
            ) from error
        raise
    if not np.isfinite(np.asarray(answers, np.float64)).all():
        raise UsageError(
            f"{what} must give finite numbers, got NaN or infinity; are the weights whole, and the "
            "records scaled as in training?"
        )
    if model.output is Output.PROBABILITIES:
        off = np.abs(answers.sum(1) - 1.0).max(initial=0.0)
        if off > 1e-3 or answers.min(initial=0.0) < -1e-6:
            raise UsageError(
                f"{what} must give probabilities, got rows that do not sum to 1: add --gives logits"
            )
    elif model.output is Output.LABELS and (answers != np.rint(answers)).any():
        raise UsageError(f"{what} must give whole labels, got fractions: add --gives probabilities")
    return answers


def as_array(value: Any) -> NDArray[Any]:
    """Return an array or a tensor, wherever it is, as an array of numpy's."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    return np.asarray(value)


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _needed(target: Any) -> list[str]:
    """Return the arguments that a call cannot leave out."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # of a compiled function
        return ["records"]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        p.name
        for p in parameters
        if p.default is p.empty and (p.kind in positional or p.kind is p.KEYWORD_ONLY)
    ]


def _state(path: Path) -> dict[str, Any]:
    """Return the tensors of a file of weights by name."""
    if not path.is_file():
        raise UsageError(f"--weights must be a file, got {path}, which is not there")
    if path.suffix.lower() not in WEIGHTS:
        raise UsageError(f"--weights must be one of {', '.join(WEIGHTS)}, got {path}")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        import torch

        content = torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as absent:
        raise MissingExtra((absent.name or "torch").partition(".")[0], "torch") from absent
    except Exception as error:  # a file can fail in any way as it is read
        raise UsageError(
            f"{path} must hold weights and nothing else, got a file that is damaged or that runs "
            "code: save them with torch.save(net.state_dict(), 'weights.pt') or "
            "safetensors.torch.save_file(net.state_dict(), 'weights.safetensors')"
        ) from error
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(hasattr(v, "shape") for v in content.values()):
        raise UsageError(
            f"{path} must hold the weights by name (net.state_dict()), got {type(content).__name__}"
        )
    return dict(content)


def _bytes(value: torch.Tensor) -> list[Any]:
    import torch

    # Bytes of any number format: numpy has no bfloat16.
    flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return [str(value.dtype), list(value.shape), flat]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
