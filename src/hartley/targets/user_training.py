"""A user's own training loop, ``fit(x, y)``, as the training that attackers know.

Each model is trained when it is first asked. Its answers are kept, and its weights too where the
network of ``--model`` takes them: a run that was killed goes on at the next model, and of two
workers one trains a model and the other waits.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Model, spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import cached, digest
from hartley.kit.lazy_ensemble import one_by_one
from hartley.kit.user_code import user_code
from hartley.targets.network_file import Network, as_array, check_units, probed
from hartley.targets.python_object import code_of_object, load_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFERED = ("seed", "device")
"""Keywords that a training function may take."""
LARGEST = 2**28
"""Bytes of weights of one model that are kept on disk; of a larger one the answers alone are."""


class _NotKept(Exception):
    """A trained model whose weights cannot be kept."""

    def __init__(self, trained: Any) -> None:
        self.trained = trained


@dataclass(frozen=True, slots=True, eq=False)
class UserTraining:
    """The training of a user's, by their function.

    Attributes:
        text: ``FILE.py:NAME`` of the function, as the user wrote it.
        function: (x, y) → a torch module, or a function of records; it may take ``seed`` and
            ``device`` by name.
        network: what the trained models are like.
        code: digest of the function's code and the network's.
    """

    text: str
    function: Callable[..., Any]
    network: Network
    code: str

    @classmethod
    def load(cls, text: str, network: Network) -> UserTraining:
        """Load the function.

        Raises:
            UsageError: it is not a function of records and labels.
        """
        function = load_object(text, "--fit")
        if not callable(function):
            raise UsageError(
                f"--fit {text} must be a function fit(x, y) that returns a trained model, got "
                f"{type(function).__name__}"
            )
        try:
            signature = inspect.signature(function)
            signature.bind(None, None, **dict.fromkeys(_keywords(signature)))
        except TypeError as error:
            raise UsageError(
                f"--fit {text} must be called as fit(x, y), with seed and device by name where it "
                f"takes them, got {inspect.signature(function)}: {error}"
            ) from error
        code = digest([code_of_object(text), code_of_object(network.text)])
        return cls(text, function, network, code)

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K models; ``include`` is (K, n) booleans."""
        x, y = np.asarray(data.x), data.labels
        network = self.network
        stamp = digest([self.code, network.device, str(network.gives), network.classes, x, y])
        seeds = [spawn(seed, "fit", k) % 2**31 for k in range(len(include))]
        names = [
            f"fit:{digest([stamp, row, own_seed])[:32]}"
            for row, own_seed in zip(include, seeds, strict=True)
        ]

        def train(k: int) -> Model:
            rows = np.flatnonzero(include[k])
            trained = kept_module(
                names[k], network, x[rows][:64], lambda: self.trained(x[rows], y[rows], seeds[k])
            )
            return network.model(
                trained, f"a model of --fit {self.text}", identity=names[k], fit=self.fit
            )

        return one_by_one(
            train, names, {"strategy": "fit", "device": network.device}, output=network.gives
        )

    def trained(self, x: NDArray[Any], y: NDArray[Any], seed: int) -> Any:
        """Call the user's function on records; return a model that answers as theirs does.

        Raises:
            UsageError: it fails, or returns something else.
        """
        what = f"--fit {self.text}"
        offered = {"seed": seed, "device": self.network.device}
        keywords = {k: offered[k] for k in _keywords(inspect.signature(self.function))}
        with seeded(seed, self.network.device), user_code(what):
            # Copies: a loop that changes its records must not change ours.
            answer = self.function(x.copy(), y.copy(), **keywords)
        if answer is None or not callable(answer):
            cure = "; end it with return model" if answer is None else ""
            raise UsageError(
                f"{what} must return the trained torch module or a function of records, got "
                f"{type(answer).__name__}{cure}"
            )
        if hasattr(answer, "parameters"):
            answer = answer.to(self.network.device)
        _, classes = probed(
            answer, f"a model of {what}", x[:2], self.network.device, str(self.network.gives)
        )
        if classes not in (0, self.network.classes):
            raise UsageError(
                f"a model of {what} must answer as {self.network.text} does, with "
                f"{self.network.classes} classes, got {classes}; where the records lack a class, "
                "keep the number of classes fixed"
            )
        model = self.network.model(answer, f"a model of {what}", identity="")
        check_units(model, f"a model of {what}", x[:64])
        return answer


def kept_module(name: str, network: Network, sample: NDArray[Any], train: Callable[[], Any]) -> Any:
    """Return a trained model: from its weights, where these were kept.

    Args:
        name: of the model, from all that makes it.
        network: what it is like.
        sample: records on which a model that takes the kept weights must answer alike.
        train: trains it.
    """
    trained: list[Any] = []

    def weights() -> dict[str, NDArray[Any]]:
        trained.append(train())
        arrays = _weights(trained[0], network, sample)
        if arrays is None:
            raise _NotKept(trained[0])
        return arrays

    try:
        arrays = cached("trained", {"model": name}, weights)
    except _NotKept as large:
        return large.trained
    if trained:
        return trained[0]
    return _restored(arrays, network)


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed the generators of Python, numpy and torch in this block; they go on as before after it.

    Args:
        seed: of all three.
        device: whose generator torch seeds as well.
    """
    state, array_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.get_rng_state()
    on_cuda = torch is not None and device.startswith("cuda")
    cuda_state = torch.cuda.get_rng_state(device) if on_cuda and torch is not None else None
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(array_state)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(torch_state)
            if cuda_state is not None:
                torch.cuda.set_rng_state(cuda_state, device)


def _keywords(signature: inspect.Signature) -> list[str]:
    """Return what a function takes by name of ``OFFERED``, besides its records and labels."""
    taken = list(signature.parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in taken):
        return list(OFFERED)
    return [p.name for p in taken[2:] if p.name in OFFERED and p.kind is not p.POSITIONAL_ONLY]


def _weights(trained: Any, network: Network, x: NDArray[Any]) -> dict[str, NDArray[Any]] | None:
    """Return a module's weights, or None where another module of its form cannot take them."""
    if network.build is None or not hasattr(trained, "state_dict"):
        return None
    state = trained.state_dict()
    if not state or sum(v.numel() * v.element_size() for v in state.values()) > LARGEST:
        return None
    # No array of numpy's holds bfloat16.
    if any(str(v.dtype) == "torch.bfloat16" for v in state.values()):
        return None
    arrays = {name: as_array(value).copy() for name, value in state.items()}
    try:
        other = _restored(arrays, network)
    except Exception:  # another form, for which no one asked the user
        return None
    # The same names and shapes do not make the same network: its activations may be others.
    answer, again = (network.model(m, "--fit", identity="").query(x) for m in (trained, other))
    return arrays if np.allclose(answer, again, rtol=1e-4, atol=1e-5) else None


def _restored(arrays: dict[str, NDArray[Any]], network: Network) -> Any:
    import torch

    assert network.build is not None
    with seeded(0, network.device), user_code(f"--model {network.text}"):
        module = network.build()
    module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
    return module
