"""Tumours: a dense net on the breast cancer table of scikit-learn; needs no pack."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import tabular as data
from hartley.games.inversion.attribute_inference import SensitiveAttribute
from hartley.games.inversion.gradient_inversion import FederatedStep
from hartley.games.memorization.canaries import planted
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes import _assemble_vision
from hartley.scenes._assemble_pooled import assemble

PUBLIC, TEST, SPARE = 100, 120, 29
"""The attacker's records, those that utility is measured on, and those of canaries."""

EPSILON = 0.25
"""What a measure may change by in evasion, in standard deviations."""

VALUES = 3
"""Values of the sensitive measure: low, middle and high."""


@recipe(modality=Modality.TABULAR, extras=("tables", "torch"))
def tumours(
    *,
    records: Annotated[int, Range(2, 320)] = 320,
    hidden: Annotated[int, Range(1)] = 64,
    epochs: Annotated[int, Range(0)] = 80,
    batch: Annotated[int, Range(1)] = 32,
    sensitive: str = "mean_texture",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """Thirty measures of breast tumours, and a net that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the hidden layer.
        epochs: passes over the training records.
        batch: records per step.
        sensitive: the measure whose value (low, middle, high) is a secret in attribute inference.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
        workers: processes for training; the result does not depend on their number.
    """
    half = records // 2
    table = data.tumours()
    sizes = {"train": half, "holdout": half, "public": PUBLIC, "test": TEST, "spare": SPARE}
    parts = _assemble_vision.deal(table, sizes, seed)
    spare = parts.pop("spare")
    pipeline = Pipeline(
        dense((table.x.shape[1],), 2, (hidden,)),
        Training(epochs=epochs, batch=batch, lr=3e-3),
        modality=Modality.TABULAR,
        offers=OPEN if opened else CLOSED,
        workers=workers,
    )
    column = data.columns(table, sensitive)
    codes = np.array([[-1.5], [0.0], [1.5]], dtype=np.float32)
    field = SensitiveAttribute(column, codes, targets=half // 3)
    # A client has eight records, each among as many candidates as half of the pool allows.
    clients = FederatedStep(candidates=max(2, min(16, half // 8)))
    return assemble(
        "tumours",
        Modality.TABULAR,
        parts,
        pipeline,
        seed=seed,
        extra={"canaries": planted(spare, 16, length=1, seed=seed)},
        holdings=(field, clients, Perturbation("linf", EPSILON, -data.FAR, data.FAR)),
        rounds={"memorization": 16, "attribute_inference": 12},
        facts={"sensitive": f"{sensitive}, {VALUES} values"},
    )
