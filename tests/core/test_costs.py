"""What adapters report reaches whoever asked, over threads too, and nobody else."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

from hartley.core.costs import Cost, billed, charge


def test_without_a_bill_a_charge_goes_nowhere() -> None:
    charge(tokens_in=5)
    with billed() as bill:
        pass
    assert bill.cost == Cost()


def test_a_bill_within_a_bill_counts_for_both() -> None:
    with billed() as outer:
        charge(money=1.0)
        with billed() as inner:
            charge(tokens_in=2, seconds=0.5)
    assert inner.cost == Cost(tokens_in=2, seconds=0.5)
    assert outer.cost == Cost(tokens_in=2, money=1.0, seconds=0.5)


def test_threads_in_copies_of_the_context_share_the_bill() -> None:
    with billed() as bill, ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            pool.submit(contextvars.copy_context().run, charge, tokens_out=1.0)
    assert bill.cost.tokens_out == 200
    with billed() as bill, ThreadPoolExecutor(2) as pool:
        pool.submit(charge, tokens_out=1.0).result()
    assert bill.cost.tokens_out == 0, "a thread without the context has no bill"


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_cost_is_a_finite_number_of_at_least_0(value: float) -> None:
    with billed() as bill, pytest.raises(ValueError, match="money must be a finite number"):
        charge(money=value)
    assert bill.cost == Cost()
