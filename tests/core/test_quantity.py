import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hartley.core import Kind, Quantity
from hartley.core.errors import MixError


def certified(value=0.5, lower=0.4, **more):
    return Quantity("bits", value, lower=lower, kind=Kind.CERTIFIED, alpha=0.05, n=10, **more)


def theory(upper, name="ceiling"):
    return Quantity(name, upper, upper=upper, kind=Kind.THEORY)


def test_two_certified_bounds_add_and_share_their_error():
    total = certified() + certified(0.2, 0.1)
    assert total.lower == pytest.approx(0.5)
    assert total.alpha == pytest.approx(0.1)
    assert total.n == 20
    assert total.kind is Kind.CERTIFIED


@pytest.mark.parametrize("first", list(Kind))
@pytest.mark.parametrize("second", list(Kind))
def test_kinds_never_mix(first, second):
    a, b = Quantity("a", 1.0, kind=first), Quantity("b", 1.0, kind=second)
    if first is second:
        assert (a + b).kind is first
        assert (a - b).kind is first
        return
    for mix in (lambda: a + b, lambda: a - b):
        with pytest.raises(MixError, match="both kinds must be the same"):
            mix()


def test_units_never_mix():
    with pytest.raises(MixError, match="both units must be the same"):
        certified() + certified(unit="nat")
    with pytest.raises(MixError, match="both units must be the same"):
        theory(1.0).then(Quantity("x", 1.0, unit="nat", upper=1.0, kind=Kind.THEORY))


def test_a_mix_is_also_a_type_error():
    with pytest.raises(TypeError):
        certified() + theory(1.0)


def test_a_difference_of_lower_bounds_has_no_lower_bound():
    gap = certified() - certified(0.2, 0.1)
    assert gap.value == pytest.approx(0.3)
    assert gap.lower is None
    assert gap.upper is None


def test_a_difference_takes_the_other_side_of_what_is_subtracted():
    before = Quantity("before", 1.0, lower=0.9, upper=1.0, kind=Kind.CERTIFIED, alpha=0.025)
    after = Quantity("after", 0.2, lower=0.1, upper=0.3, kind=Kind.CERTIFIED, alpha=0.025)
    gap = before - after
    assert gap.lower == pytest.approx(0.6)
    assert gap.upper == pytest.approx(0.9)
    assert gap.alpha == pytest.approx(0.05)


def test_only_theory_composes_in_series_and_only_upper_sides():
    assert theory(0.5).then(theory(0.3)).upper == 0.3
    assert theory(0.5).then(theory(0.3)).lower is None
    assert "Markov" in theory(0.5).then(theory(0.3)).assumptions
    for kind in (Kind.CERTIFIED, Kind.CALIBRATED, Kind.ESTIMATE):
        other = Quantity("x", 0.5, lower=0.4, upper=0.6, kind=kind)
        with pytest.raises(MixError, match="end to end"):
            other.then(theory(1.0))
        with pytest.raises(MixError, match="end to end"):
            theory(1.0).then(other)
        with pytest.raises(MixError, match="end to end"):
            other.then(other)


def test_series_needs_an_upper_bound():
    with pytest.raises(MixError, match="upper bound"):
        theory(1.0).then(Quantity("x", 1.0, kind=Kind.THEORY))


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_scaling_needs_a_positive_finite_number(factor):
    with pytest.raises(MixError, match="positive finite"):
        certified().scaled(factor, "bit/s")


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine three floats are slow
@given(st.floats(1e-6, 1e6), st.floats(0, 10), st.floats(0, 10))
def test_scaling_keeps_kind_and_order(factor, value, lower):
    made = certified(value, lower).scaled(factor, "bit/s")
    assert made.unit == "bit/s"
    assert made.kind is Kind.CERTIFIED
    assert made.lower == lower * factor
    assert made.upper is None


def test_a_quantity_is_frozen():
    with pytest.raises(AttributeError):
        certified().value = 2.0
