"""Income: a dense net on the US census of 1994 (Adult), a pack."""

from __future__ import annotations

from typing import Annotated, Literal

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

PUBLIC, TEST, SPARE = 1500, 4000, 64
"""The attacker's records, those that utility is measured on, and those of canaries."""


EPSILON = 0.25
"""What a number may change by in evasion, in standard deviations."""


def _rules(width: int) -> Perturbation:
    """Numbers may change within their range; categories may not."""
    numbers = np.arange(width) < len(data.NUMBERS)
    low, high = np.where(numbers, -data.FAR, 0.0), np.where(numbers, data.FAR, 1.0)
    return Perturbation("linf", EPSILON, low, high, numbers.astype(float))


@recipe(modality=Modality.TABULAR, packs=("adult",), extras=("torch",))
def income(
    *,
    records: Annotated[int, Range(2)] = 1500,
    hidden: Annotated[int, Range(1)] = 64,
    epochs: Annotated[int, Range(0)] = 60,
    batch: Annotated[int, Range(1)] = 32,
    sensitive: Literal[
        "workclass", "education", "marital", "occupation", "relationship", "race", "sex"
    ] = "marital",
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """People of a census, and a net that was trained on half of them to predict high income.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the hidden layer.
        epochs: passes over the training records.
        batch: records per step.
        sensitive: the secret field of attribute inference: marital (7 values), race (5),
            sex (2), relationship (6), workclass (9), education (16) or occupation (15).
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
        workers: processes for training; the result does not depend on their number.
    """
    half = records // 2
    table = data.income()
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
    columns = data.columns(table, sensitive)
    field = SensitiveAttribute(columns, np.eye(len(columns), dtype=np.float32), targets=half // 3)
    return assemble(
        "income",
        Modality.TABULAR,
        parts,
        pipeline,
        seed=seed,
        extra={"canaries": planted(spare, 16, length=2, seed=seed)},
        holdings=(field, FederatedStep(), _rules(table.x.shape[1])),
        rounds={"memorization": 16},
        facts={"sensitive": f"{sensitive}, {len(columns)} values"},
    )
