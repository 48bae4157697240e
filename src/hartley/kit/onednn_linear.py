"""Linear maps for inference through oneDNN, with weights that are packed once.

PyTorch multiplies float32 through MKL, which does not use all of the instructions of processors of
other makers: there oneDNN takes less than half the time. On Intel's both take the same. Imports
torch inside functions: importing this module is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Linear = Callable[["Tensor"], "Tensor"]
"""(…, in) float32 → (…, out) float32."""


def packed(weight: Tensor, bias: Tensor | None = None, *, half: bool = False) -> Linear:
    """Return x → x Wᵀ + b, without a gradient.

    Args:
        weight: (out, in).
        bias: (out,) or None.
        half: multiply in bfloat16 and add in float32, where the processor has instructions for
            that: errors of about 0.4 % of each product.
    """
    import torch

    kind = torch.bfloat16 if half and has_bfloat16() else torch.float32
    weight = weight.detach().to(kind)
    bias = None if bias is None else bias.detach().to(kind)
    library: Any = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not hasattr(library, "_linear_pointwise"):
        return lambda x: torch.nn.functional.linear(x.to(kind), weight, bias).float()
    ready = library._reorder_linear_weight(weight)

    def linear(x: Tensor) -> Tensor:
        answer: Tensor = library._linear_pointwise(
            x.to(kind).contiguous(), ready, bias, "none", [], ""
        )
        return answer.float()

    return linear


def sloped(weight: Tensor, bias: Tensor | None = None, *, half: bool = False) -> Linear:
    """Return ``packed`` with a gradient in x alone, which goes back through packed weights too."""
    import torch

    onward, back = packed(weight, bias, half=half), packed(weight.detach().T, half=half)

    class Sloped(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(_: Any, x: Tensor) -> Tensor:
            return onward(x)

        @staticmethod
        def backward(_: Any, *slopes: Tensor) -> Tensor:
            return back(slopes[0])

    def linear(x: Tensor) -> Tensor:
        answer: Tensor = Sloped.apply(x)
        return answer

    return linear


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    import torch

    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


class PackedNetwork:
    """A network whose linear layers are packed while it is used for inference.

    Layers whose weights were changed since are packed anew.
    """

    def __init__(self, network: Any) -> None:
        """Remember the network; nothing is packed yet."""
        self.network = network
        self._ready: dict[tuple[int, bool, bool], tuple[Any, Linear]] = {}

    @contextmanager
    def fast(self, *, half: bool = False, gradient: bool = False) -> Iterator[None]:
        """Within it, the network's linear layers use packed weights.

        Args:
            half: multiply in bfloat16.
            gradient: whether there is one, in what the network reads and never in its weights.
        """
        import torch

        layers = [m for m in self.network.modules() if type(m) is torch.nn.Linear]
        layers = [m for m in layers if m.weight.dtype is torch.float32 and "forward" not in vars(m)]
        try:
            for layer in layers:
                layer.forward = self._packed(layer, half, gradient)
            with torch.set_grad_enabled(gradient):
                yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)

    def _packed(self, layer: Any, half: bool, gradient: bool) -> Linear:
        stamp = [(t.data_ptr(), t._version) for t in (layer.weight, layer.bias) if t is not None]
        key = (id(layer), half, gradient)
        before, linear = self._ready.get(key, (None, None))
        if linear is None or before != stamp:
            linear = (sloped if gradient else packed)(layer.weight, layer.bias, half=half)
            self._ready[key] = (stamp, linear)
        return linear
