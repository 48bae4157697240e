"""The rules that every model adapter must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model, Output
from hartley.core.capabilities import CAPABILITIES, check_answers, opened_by
from hartley.core.errors import BadModel
from hartley.testing.checks import CheckFailed, expect

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_model(model: Model, records: NDArray[Any], *, tolerance: float = 1e-4) -> None:
    """Check that a model keeps what it declares, on a few records of its own modality.

    Args:
        model: the adapter's result.
        records: (n, …) records it reads, n ≥ 4.
        tolerance: how far batched and single answers may differ (float32 kernels).

    Raises:
        CheckFailed: a capability is offered and absent, units are wrong, answers change although
            the model is declared deterministic, or batching matters. Where answers may change,
            only the shapes of batched and single answers are compared.
    """
    for flag in opened_by():
        _offers_what_it_has(model, flag)
    expect(len(records) >= 4, f"records must be at least 4, got {len(records)}")
    expect(
        model.output is Output.EMBEDDINGS or model.classes >= 1,
        f"classes must be at least 1 where the output is {model.output}, got {model.classes}",
    )
    try:
        together = check_answers(model, model.query(records), len(records))
        one_by_one = np.concatenate(
            [check_answers(model, model.query(r[None]), 1) for r in records]
        )
    except BadModel as error:
        raise CheckFailed(str(error)) from error
    expect(
        together.shape == one_by_one.shape,
        f"batching changes the shape from {one_by_one.shape} to {together.shape}",
    )
    if not model.deterministic:
        return
    expect(
        np.array_equal(together, model.query(records)),
        "answers change from call to call; declare deterministic=False",
    )
    expect(
        np.allclose(together, one_by_one, atol=tolerance),
        f"batching changes answers by up to {np.abs(together - one_by_one).max():.2g}",
    )


def _offers_what_it_has(model: Model, flag: Access) -> None:
    """What is offered is there, and what only this flag opens is there only if it is offered."""
    offered = bool(model.offers & flag)
    rows = {name: row for name, row in CAPABILITIES.items() if row.access & flag}
    present = [name for name in rows if name in model.calls]
    expect(
        bool(present) or not offered,
        f"it offers {flag.words[0]}, so it must have one of {', '.join(rows)}",
    )
    hidden = [name for name in present if rows[name].access == flag and not offered]
    expect(not hidden, f"it has {', '.join(hidden)}, so it must offer {flag.words[0]}")
