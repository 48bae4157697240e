"""AdamW in one fused kernel, without ``torch.optim``.

The first optimizer of ``torch.optim`` loads torch's compiler, which takes every process that trains
two seconds, and a step of it takes a small net seven times as long as the kernel that it calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class FusedAdamW:
    """AdamW; at decay 0, Adam. The numbers are those of ``torch.optim.AdamW(…, fused=True)``.

    Args:
        parameters: float tensors on one device; each step moves them along their ``grad``.
        lr: learning rate; may be changed between steps.
        decay: decoupled weight decay.
        betas: decay rates of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        lr: float,
        decay: float = 0.0,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        import torch

        self.parameters, self.lr, self.decay = list(parameters), lr, decay
        self.betas, self.eps = betas, eps
        with torch.no_grad():
            self._means = [torch.zeros_like(p) for p in self.parameters]
            self._squares = [torch.zeros_like(p) for p in self.parameters]
            self._steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def step(self) -> None:
        """Move all parameters once.

        Raises:
            ValueError: a parameter has no gradient.
        """
        import torch

        grads = [p.grad for p in self.parameters if p.grad is not None]
        if len(grads) < len(self.parameters):
            raise ValueError(
                f"{len(self.parameters)} parameters must each have a gradient, got {len(grads)}"
            )
        with torch.no_grad():
            torch._foreach_add_(self._steps, 1)
            torch._fused_adamw_(
                self.parameters,
                grads,
                self._means,
                self._squares,
                [],
                self._steps,
                lr=self.lr,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=self.decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )
