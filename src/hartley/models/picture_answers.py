"""A model that looks at pictures, as a ``Model`` that chooses among answers to one question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.evasion_losses import of_tensor, split_targets
from hartley.models.picture_language import BATCH, PictureLanguage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

OPEN = Access.LABELS | Access.SCORES | Access.GRADIENTS


def answering(
    reader: PictureLanguage,
    question: str,
    answers: Sequence[str],
    usual: NDArray[Any],
    offers: Access = OPEN,
) -> Model:
    """Return a model of pictures (n, 3, 128, 128) in 0..1 → logits (n, answers).

    An answer is scored by its log-probability, less the mean of that over usual pictures: some
    answers are likely whatever the picture (arXiv:2102.09690).

    Args:
        reader: the networks.
        question: what is asked about every picture.
        answers: what may be answered.
        usual: (m, 3, 128, 128) pictures that no test is about.
        offers: what an attacker may use.

    Raises:
        UsageError: there are fewer than two answers, or two are alike.
    """
    if len(answers) < 2 or len({*answers}) < len(answers):
        raise UsageError(f"answers must be two or more different texts, got {len(answers)}")
    rows = reader.rows(answers)
    before = reader.log_likelihoods(reader.vectors(usual), question, rows).mean(0)

    def query(x: NDArray[Any]) -> NDArray[np.float64]:
        scores = reader.log_likelihoods(
            reader.vectors(np.array(_checked(x), np.float32)), question, rows
        )
        return np.asarray(scores - before)

    def slope(x: NDArray[Any], y: NDArray[Any], loss: str) -> NDArray[np.float32]:
        import torch

        labels, targets = split_targets(y)
        x = np.asarray(_checked(x), dtype=np.float32)
        usually = torch.from_numpy(before).float()
        parts = [np.empty((0, 2 + x[0].size if len(x) else 2), np.float32)]
        for at in range(0, len(x), BATCH):
            some = slice(at, at + BATCH)
            pictures = torch.from_numpy(x[some].copy()).requires_grad_()
            z: Tensor = reader.likely(reader.of_pictures(pictures), question, rows) - usually
            wanted = None if targets is None else torch.from_numpy(targets[some])
            values = of_tensor(z, torch.from_numpy(labels[some]), wanted, loss)
            (back,) = torch.autograd.grad(values.sum(), pictures)
            head = torch.stack([values.detach(), z.detach().argmax(1).float()], 1)
            parts.append(torch.cat([head, back.flatten(1)], 1).numpy())
        return np.concatenate(parts)

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(slope(x, y, "ce")[:, 2:].reshape(np.shape(x)))

    projector = {name: tensor.numpy() for name, tensor in reader.projector.items()}
    trained = sum(array.size for array in projector.values())
    return Model(
        reader.language.name,
        Modality.PAIRED,
        query,
        Output.LOGITS,
        len(answers),
        grad=grad,
        slope=slope,
        offers=offers,
        identity=digest([reader.language.identity, projector, question, list(answers), before]),
        facts={"parameters": reader.language.parameters + trained},
    )


def _checked(x: NDArray[Any]) -> NDArray[Any]:
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[1:] != (3, 128, 128):
        raise UsageError(f"pictures must have shape (n, 3, 128, 128), got {x.shape}")
    return x
