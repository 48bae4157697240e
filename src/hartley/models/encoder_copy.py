"""A copy of an encoder, trained on the embeddings that the original answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Access, Data, Model, Output
from hartley.kit import kmeans
from hartley.kit.contrastive_encoder import first_weights
from hartley.kit.fused_adam import FusedAdamW
from hartley.kit.ridge import Ridge
from hartley.models.contrastive import encoder_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN = Access.EMBEDDINGS | Access.WEIGHTS
"""What a thief may use of a copy."""

Loss = Literal["contrast", "distance"]
"""How a copy is compared with the answers (``copy_encoder``)."""


def copy_encoder(
    queries: Data,
    answers: NDArray[Any],
    seed: int,
    *,
    loss: Loss,
    hidden: int = 128,
    steps: int = 400,
    batch: int = 128,
    noise: float = 0.1,
    temperature: float = 0.2,
    lr: float = 3e-3,
) -> Model:
    """Train a net with one hidden layer to embed as the original did.

    Args:
        queries: (n, …) records of floats that the original answered.
        answers: (n, d) its embeddings.
        seed: of the training.
        loss: ``contrast`` (arXiv:2201.07513): a record's embedding lies nearer to its answer than
            to the answers and embeddings of other records, by cosine. ``distance``
            (arXiv:2201.05889): the embeddings of a record and of a noisy view of it have the least
            squared distance to its answer.
        hidden: width of the hidden layer.
        steps: optimiser steps.
        batch: records a step.
        noise: standard deviation of the noise in a view, as a share of that of the records.
        temperature: of the contrast.
        lr: first learning rate; it falls to 0.
    """
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(seed)
    x = kmeans.flat(queries.x).astype(np.float32)
    size = float(np.sqrt((answers**2).sum(1).mean())) or 1.0
    target = torch.from_numpy(np.asarray(answers / size, dtype=np.float32))
    start = first_weights(rng, x.shape[1], hidden, answers.shape[1])
    weights = {name: torch.from_numpy(w).requires_grad_() for name, w in start.items()}
    adam, blur = FusedAdamW(list(weights.values()), lr, decay=1e-4), noise * float(x.std())

    def embedded(rows: NDArray[Any]) -> Any:
        hid = torch.relu(torch.from_numpy(rows) @ weights["0.weight"] + weights["0.bias"])
        return hid @ weights["1.weight"] + weights["1.bias"]

    for at in range(steps):
        rows = rng.permutation(len(x))[:batch]
        view = x[rows] + blur * rng.standard_normal((len(rows), x.shape[1]), np.float32)
        goal = target[torch.from_numpy(rows)]
        for w in weights.values():
            w.grad = None
        if loss == "contrast":
            both = functional.normalize(torch.cat([goal, embedded(view)]), dim=-1)
            alike = both @ both.T / temperature
            alike = alike - torch.diag(torch.full((len(both),), torch.inf))
            others = torch.arange(len(both)).roll(len(rows))
            error = functional.cross_entropy(alike, others)
        else:
            apart = (embedded(x[rows]) - goal).square() + (embedded(view) - goal).square()
            error = apart.sum(1).mean()
        error.backward()
        adam.lr = lr * (1 - at / steps)
        adam.step()
    trained = {name: w.detach().numpy() for name, w in weights.items()}
    facts = {"records asked": len(queries)}
    return encoder_of(trained, queries.modality, OPEN, name="copied encoder", facts=facts)


def copy_towers(queries: Data, answers: NDArray[Any], split: int) -> Model:
    """Return a dual encoder of two linear maps that answer as the original did.

    Args:
        queries: (n, d) records that the original answered, the picture's columns first.
        answers: (n, 2·width) its embeddings of pictures and of captions.
        split: columns that are the picture's.
    """
    width = answers.shape[1] // 2
    image = Ridge.fit(queries.x[:, :split], answers[:, :width])
    text = Ridge.fit(queries.x[:, split:], answers[:, width:])

    def query(x: NDArray[Any]) -> NDArray[Any]:
        halves = [
            (np.asarray(part, np.float64) - tower.at) @ tower.slope + tower.level
            for tower, part in ((image, x[:, :split]), (text, x[:, split:]))
        ]
        unit = [h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12) for h in halves]
        return np.concatenate(unit, 1)

    return Model(
        "copied dual encoder",
        queries.modality,
        query,
        Output.EMBEDDINGS,
        2 * width,
        weights=lambda: {"image": image.slope, "text": text.slope},
        offers=OPEN,
        facts={"records asked": len(queries)},
    )
