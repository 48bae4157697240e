"""DP-SGD (arXiv:1607.00133) for any torch module: each record's gradient, clipped, and noise.

The steps are those of ``kit.fleet.dp_training``: Poisson batches, a public divisor, and AdamW on
the noisy mean. Here each record passes the module alone, as a batch of one, so that its gradient
depends on it alone, whatever the layers are. A layer that keeps something of the records in a
buffer, as batch normalisation does, would carry it past the noise: ``keeps_records`` names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.fleet.dp_training import TINY, Privacy, drawn

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    Gradients = Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]

MOST = 2**25
"""Numbers in the gradients of the records that are computed at once; limits memory."""


def keeps_records(module: torch.nn.Module) -> str:
    """Return the name and the kind of a layer that keeps statistics of records, or nothing."""
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.instancenorm import _InstanceNorm

    for name, layer in module.named_modules():
        tracks = isinstance(layer, _InstanceNorm) and layer.track_running_stats
        if isinstance(layer, _BatchNorm) or tracks:
            return f"{name or 'the module'} ({type(layer).__name__})"
    return ""


def train_by_record(
    module: torch.nn.Module,
    x: NDArray[Any],
    y: NDArray[Any],
    privacy: Privacy,
    rng: np.random.Generator,
    *,
    loss: Loss,
    device: str = "cpu",
    optimizer: Callable[[list[torch.nn.Parameter]], Any] | None = None,
) -> str:
    """Train a module by DP-SGD, in place.

    Args:
        module: with its first weights; those that ask for no gradient stay as they are.
        x: (n, …) records.
        y: (n,) labels.
        privacy: the numbers of the run.
        rng: draws the batches and the noise. Layers such as dropout draw from torch's generator.
        loss: (answers (1, …), labels (1,)) → the loss of one record.
        device: a torch device, where the module is.
        optimizer: (weights) → what steps on the noisy mean gradient, which is all that it gets, so
            that the guarantee does not depend on it; None takes AdamW at ``privacy.lr``.

    Returns:
        How gradients were computed: ``vmap``, or ``loop`` where a layer cannot be mapped.

    Raises:
        UsageError: a layer keeps something of the records, nothing can be trained, or the optimizer
            has no step.
    """
    import torch

    if layer := keeps_records(module):
        raise UsageError(f"{layer} keeps statistics of the records, which no noise covers")
    records = torch.from_numpy(np.array(x, np.float32)).to(device)
    labels = torch.from_numpy(np.array(y, np.int64)).to(device)
    with torch.no_grad():
        module.eval()(records[:2])  # a lazy layer takes its shape from the first records
    weights = [p for p in module.parameters() if p.requires_grad]
    if not weights:
        raise UsageError("a module must have weights to train, got none")
    gradients, how = _gradients(module, records[:2], labels[:2], loss)
    size = sum(w.numel() for w in weights)
    optimiser: Any = (
        torch.optim.AdamW(weights, lr=privacy.lr, weight_decay=privacy.decay, fused=device == "cpu")
        if optimizer is None
        else optimizer(weights)
    )
    if not callable(getattr(optimiser, "step", None)):
        raise UsageError(
            "optimizer(parameters) must return an optimizer of torch, got "
            f"{type(optimiser).__name__}"
        )
    rows = np.arange(len(x))
    most = max(1, MOST // size)
    for _ in range(privacy.steps):
        batch = torch.from_numpy(drawn(rows, rng, privacy.rate)).to(device)
        total = torch.zeros(size, device=device)
        for some in batch.split(most) if len(batch) else ():
            total += _clipped(gradients(records[some], labels[some]), privacy.clip)
        if privacy.noise:
            noise = torch.from_numpy(rng.standard_normal(size, np.float32)).to(device)
            total.add_(noise, alpha=privacy.noise * privacy.clip)
        total.div_(privacy.expected)
        for weight, part in zip(weights, total.split([w.numel() for w in weights]), strict=True):
            weight.grad = part.view_as(weight).to(weight.dtype)
        optimiser.step()
    module.zero_grad()
    return how


def _clipped(gradients: list[torch.Tensor], clip: float) -> torch.Tensor:
    """Return Σᵢ gᵢ·min(1, clip/‖gᵢ‖) as one vector; ``gradients`` are (b, …), one a weight."""
    import torch

    flat = [g.flatten(1).float() for g in gradients]
    norms = torch.stack([f.square().sum(1) for f in flat]).sum(0).sqrt()
    factor = (clip / (norms + TINY)).clamp_(max=1.0)
    return torch.cat([factor @ f for f in flat])


def _gradients(
    module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss
) -> tuple[Gradients, str]:
    """Return what computes the gradient of every record, once it was tried on a few."""
    import torch
    from torch.func import functional_call, grad, vmap

    module.train()
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    weights = list(named.values())

    def loss_of(values: dict[str, Any], record: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return loss(functional_call(module, values, (record[None],)), label[None])

    # Each record meets a dropout of its own.
    of_all = vmap(grad(loss_of), in_dims=(None, 0, 0), randomness="different")

    def mapped(records: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        values = {name: p.detach() for name, p in named.items()}
        return list(of_all(values, records, labels).values())

    def looped(records: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        each = []
        for k in range(len(records)):
            value = loss(module(records[k : k + 1]), labels[k : k + 1])
            parts = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
            each.append(parts)
        return [torch.stack(parts) for parts in zip(*each, strict=True)]

    before = {name: (value, value.clone()) for name, value in module.named_buffers()}
    try:
        mapped(x, y)
        how = "vmap"
    except Exception:  # a layer may refuse to be mapped in any way; alone, a record always passes
        looped(x, y)
        how = "loop"
    for name, value in module.named_buffers():
        # Another tensor in its place may be one of vmap's, which cannot be compared.
        same, content = before.get(name, (None, None))
        if value is not same or not torch.equal(value, content):
            raise UsageError(f"{name} keeps something of the records in training")
    return (mapped if how == "vmap" else looped), how
