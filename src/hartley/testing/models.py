"""What every model adapter must keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model
from hartley.core.errors import BadModel
from hartley.engine.run.meter import check
from hartley.testing.checks import CheckFailed, expect

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALLABLES = {
    Access.GRADIENTS: "grad",
    Access.WEIGHTS: "weights",
    Access.TRAIN: "fit",
}


def check_model(model: Model, records: NDArray[Any], *, tolerance: float = 1e-4) -> None:
    """Hold a model against what it declares, on a few records of its own modality.

    Args:
        model: the adapter's result.
        records: (n, …) records it reads, n ≥ 4.
        tolerance: how far batched and single answers may differ (float32 kernels).

    Raises:
        CheckFailed: a capability is offered and absent, units are wrong, or batching matters.
    """
    for flag, name in CALLABLES.items():
        offered, present = bool(model.offers & flag), getattr(model, name) is not None
        expect(offered == present, f"offers {flag.words} is {offered}, {name} is there: {present}")
    expect(len(records) >= 4, "check_model wants at least 4 records")
    try:
        together = check(model, model.query(records), len(records))
        apart = np.concatenate([check(model, model.query(r[None]), 1) for r in records])
    except BadModel as error:
        raise CheckFailed(str(error)) from error
    expect(
        np.allclose(together, apart, atol=tolerance),
        f"batching changes answers by up to {np.abs(together - apart).max():.2g}",
    )
    again = model.query(records)
    expect(np.array_equal(together, again), "the same records are answered differently")
