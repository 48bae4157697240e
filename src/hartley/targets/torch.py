"""A torch module as a model: the adapter declares the units of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Fit, Modality, Model, Output
from hartley.core.errors import BadModel, UsageError
from hartley.kit.evasion_losses import of_tensor, split_targets
from hartley.targets.identity import of_weights

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

BATCH = 1024

SLOPES = 256
"""Records in one backward pass of ``slope``: what is in flight stays in the processor's cache."""


def from_torch(
    module: torch.nn.Module,
    *,
    name: str = "torch model",
    modality: Modality = Modality.VISION,
    classes: int,
    gives: Output = Output.LOGITS,
    output: Output = Output.PROBABILITIES,
    offers: Access = Access.LABELS | Access.SCORES,
    fit: Fit | None = None,
    device: str = "cpu",
    batch: int = BATCH,
    facts: Mapping[str, Any] | None = None,
    identity: str | None = None,
) -> Model:
    """Wrap a torch module that reads float records (n, …) as a model.

    The module is put into evaluation mode and queried in batches, without gradients.

    Args:
        module: the module.
        name: name in reports.
        modality: what it reads.
        classes: number of classes, or the width of an embedding. Of 2 classes the module may give
            one number a record: the logit or the probability of class 1.
        gives: what the module itself returns. A last softmax layer means ``PROBABILITIES``; most
            classifiers are trained without one and give ``LOGITS``. Declared by the caller, never
            guessed; the engine checks it on every answer.
        output: form of the answers: as ``gives``, or logits turned into probabilities, or
            either turned into labels.
        offers: capabilities that an attacker may use. ``GRADIENTS`` and ``WEIGHTS`` make ``grad``
            and ``weights`` present, ``TRAIN`` needs ``fit``.
        fit: the training that the attacker knows.
        device: a torch device.
        batch: records a forward pass.
        facts: anything worth carrying.
        identity: a digest that is unique to this module; None computes it from its form, its
            parameters and its buffers, and an empty string declares nothing.

    Returns:
        The model; its callables read and return numpy arrays.

    Raises:
        UsageError: answers that cannot be computed from what the module returns. Queries raise
            ``BadModel`` where the module gives probabilities and ``gives`` says logits.
    """
    import torch

    answer = _units(gives, output)
    module = module.to(device).eval()

    def query(x: NDArray[Any]) -> NDArray[Any]:
        parts = [np.empty((0, classes), np.float32)] if not len(x) else []
        with torch.no_grad():
            for at in range(0, len(x), batch):
                rows = torch.from_numpy(np.array(x[at : at + batch], np.float32)).to(device)
                parts.append(both(module(rows).float()).cpu().numpy())
        answers = np.concatenate(parts)
        _hold_to_units(name, answers, gives)
        return answer(answers)

    def both(out: torch.Tensor) -> torch.Tensor:
        """Two columns, where the module has one: that of class 1."""
        if classes != 2 or gives not in (Output.LOGITS, Output.PROBABILITIES):
            return out
        out = out[:, None] if out.ndim == 1 else out
        if out.shape[1] != 1:
            return out
        first = torch.zeros_like(out) if gives is Output.LOGITS else 1.0 - out
        return torch.cat([first, out], dim=1)

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        import torch.nn.functional as F

        rows = torch.from_numpy(np.array(x, np.float32)).to(device).requires_grad_()
        labels = torch.from_numpy(np.array(y, np.int64)).to(device)
        out = both(module(rows))
        if gives is Output.PROBABILITIES:
            out = out.clamp_min(1e-12).log()
        # A sum over records: each record's gradient is that of its own loss.
        loss = F.cross_entropy(out, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, rows)
        return np.asarray(gradient.cpu().numpy())

    def weights() -> Mapping[str, NDArray[Any]]:
        return {k: v.detach().cpu().numpy() for k, v in module.state_dict().items()}

    return Model(
        name,
        modality,
        query,
        output,
        classes,
        identity=_identity(module, gives) if identity is None else identity,
        grad=grad if offers & Access.GRADIENTS else None,
        slope=_slope(module, both, gives, device) if offers & Access.GRADIENTS else None,
        weights=weights if offers & Access.WEIGHTS else None,
        fit=fit if offers & Access.TRAIN else None,
        offers=offers if fit is not None else offers & ~Access.TRAIN,
        facts=dict(facts or {}),
    )


def _slope(
    module: torch.nn.Module,
    both: Callable[[torch.Tensor], torch.Tensor],
    gives: Output,
    device: str,
) -> Callable[..., NDArray[Any]]:
    """Return the capability ``slope`` of a module."""
    import torch

    def slope(x: NDArray[Any], y: NDArray[Any], loss: str) -> NDArray[Any]:
        labels, targets = split_targets(y)
        out = np.empty((len(x), 2 + x[:1].size), np.float32)
        for at in range(0, len(x), SLOPES):
            part = slice(at, at + SLOPES)
            rows = torch.from_numpy(np.array(x[part], np.float32)).to(device).requires_grad_()
            z = both(module(rows))
            if gives is Output.PROBABILITIES:
                z = z.clamp_min(1e-12).log()
            y_, t_ = (
                None if words is None else torch.from_numpy(words[part]).to(device)
                for words in (labels, targets)
            )
            losses = of_tensor(z, y_, t_, loss)
            (gradient,) = torch.autograd.grad(losses.sum(), rows)
            out[part, 0] = losses.detach().cpu().numpy()
            out[part, 1] = z.detach().argmax(1).cpu().numpy()
            out[part, 2:] = gradient.flatten(1).cpu().numpy()
        return out

    return slope


def _hold_to_units(name: str, answers: NDArray[Any], gives: Output) -> None:
    """Refuse probabilities that were declared as logits: a softmax of them is nearly uniform."""
    if gives is not Output.LOGITS or answers.ndim != 2 or answers.shape[1] < 2 or len(answers) < 2:
        return
    sums_to_one = np.abs(answers.sum(1) - 1.0).max() < 1e-4
    if sums_to_one and answers.min() >= 0.0 and np.ptp(answers) > 0.0:
        raise BadModel(
            f"{name!r} must give logits, got rows that sum to 1 (are they probabilities? declare "
            "gives=Output.PROBABILITIES)"
        )


def _identity(module: torch.nn.Module, gives: Output) -> str:
    import torch

    state = module.state_dict()
    form = [f"{name} {value.dtype} {tuple(value.shape)}" for name, value in state.items()]
    # Bytes of any number format: numpy has no bfloat16.
    parts = {n: v.detach().cpu().contiguous().reshape(-1) for n, v in state.items()}
    return of_weights(
        f"{gives} {module} {form}", {n: v.view(torch.uint8).numpy() for n, v in parts.items()}
    )


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities along the last axis, in the precision of the logits."""
    out = np.exp(logits - logits.max(-1, keepdims=True))
    out /= out.sum(-1, keepdims=True)
    return np.asarray(out)


def _units(gives: Output, output: Output) -> Callable[[NDArray[Any]], NDArray[Any]]:
    if gives is output:
        return lambda answers: answers
    scores = {Output.LOGITS, Output.PROBABILITIES}
    if gives in scores and output is Output.LABELS:
        return lambda answers: np.asarray(answers.argmax(1))
    if gives is Output.LOGITS and output is Output.PROBABILITIES:
        return softmax
    raise UsageError(f"output must follow from what the module gives ({gives}), got {output}")
