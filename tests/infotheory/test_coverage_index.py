"""The coverage index by hand, interactions, attribution, collusion and pairs of defenses."""

import math
from itertools import combinations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.infotheory import closed_forms
from hartley.infotheory.coverage_index import (
    Leaks,
    Terms,
    attack_weights,
    attribution,
    cell_coverage,
    collusion_coverage,
    dci_hartley,
    interaction,
    search_pairs,
    shapley,
    thinned,
)

NAN = [np.nan] * 3


def leaks(**changes):
    """Two attacks of membership and one of extraction, behind rounding and behind noise."""
    table = {
        "attacks": ("loss", "lira", "knockoff"),
        "classes": ("membership", "membership", "extraction"),
        "attack_terms": ("noise", "noise", "bandwidth"),
        "defenses": ("rounding", "noise"),
        "terms": ("bandwidth", "noise"),
        "before": np.array([[0.8, 0.64, 0.9], [0.4, 0.32, 0.5], [2.0, 1.6, 2.4]]),
        "static": np.array([
            [[0.2, 0.1, 0.3], [0.8, 0.7, 0.9]],
            [[0.2, 0.1, 0.4], [0.4, 0.3, 0.5]],
            [[1.0, 0.8, 1.2], NAN],
        ]),
        "adaptive": np.array([
            [[0.4, 0.3, 0.48], [0.9, 0.8, 1.0]],
            [NAN, [0.1, 0.0, 0.2]],
            [[1.5, 1.2, 1.6], NAN],
        ]),
        "unclaimed": np.array([[False, False], [False, False], [False, True]]),
    }  # fmt: skip
    return Leaks(**(table | changes))


def test_the_index_of_a_table_worked_by_hand():
    rounding, noise = dci_hartley(leaks())
    # c = 1 − .4/.8, 1 − .2/.4, 1 − 1.5/2 against the stronger attacker
    assert rounding.value == pytest.approx((0.5 * (0.5 + 0.5) + 0.25) / 2)
    assert rounding.static == pytest.approx((0.5 * (0.75 + 0.5) + 0.5) / 2)
    # 1 − .48/.64, 1 − .4/.32 → 0, 1 − 1.6/1.6
    assert rounding.low == pytest.approx(0.5 * 0.25 / 2)
    assert rounding.breadth == pytest.approx(2 / 3)
    assert (rounding.worst, rounding.worst_attack) == (pytest.approx(0.25), "knockoff")
    assert rounding.by_class == pytest.approx({"membership": 0.5, "extraction": 0.25})
    assert rounding.by_term == pytest.approx({"noise": 0.5, "bandwidth": 0.25})
    assert rounding.static_only == ("lira",) and not rounding.open
    # Noise makes the first attack stronger (coverage 0, never below), and claims no extraction.
    assert noise.value == pytest.approx(0.0) and noise.unclaimed == ("knockoff",)
    assert noise.by_class["extraction"] == 0.0
    assert noise.relative_to_suite == ("loss", "lira", "knockoff")
    assert attack_weights(("a", "a", "b")).tolist() == [0.25, 0.25, 0.5]


def test_a_missing_cell_is_neither_a_leak_of_0_nor_a_coverage_of_0():
    table = leaks()
    table.static[2, 0] = table.adaptive[2, 0] = NAN
    rounding, _ = dci_hartley(table)
    assert rounding.open == ("knockoff",) and rounding.value == pytest.approx(0.5)
    assert (rounding.least, rounding.most) == (pytest.approx(0.25), pytest.approx(0.75))
    assert rounding.low == pytest.approx(0.5 * 0.25 / 2)  # an open cell covers nothing here
    table.static[:] = table.adaptive[:] = np.nan
    nothing, _ = dci_hartley(table)
    assert math.isnan(nothing.value) and nothing.most == 1.0 and nothing.least == 0.0
    # An attack that reads nothing without a defense is no part of the suite.
    silent = leaks(before=np.array([[0.8, 0.64, 0.9], [0.0, 0.0, 0.1], [2.0, 1.6, 2.4]]))
    rounding, _ = dci_hartley(silent)
    assert rounding.silent == ("lira",) and rounding.value == pytest.approx((0.5 + 0.25) / 2)
    share, low = cell_coverage([0.5, 0.0, 0.6], [0.1, 0.0, 0.2])
    assert (share, low) == (pytest.approx(0.8), 0.0)
    with pytest.raises(UsageError, match="terms must have shape"):
        leaks(terms=("noise",))
    with pytest.raises(UsageError, match="0 or more"):
        leaks(before=-np.ones((3, 3)))


def test_interaction_is_0_for_independent_thinning():
    """Filters that erase uses independently multiply; one filter twice does nothing more."""
    rng = np.random.default_rng(0)
    n = 4000
    first, second = rng.random((2, n)) < [[0.5], [0.4]]
    counts = [np.ones(n, bool), first, second, first & second]
    boot = rng.multinomial(n, np.full(n, 1 / n), 300)
    draws = [np.concatenate([[c.mean()], boot @ c / n]) for c in counts]
    found = interaction(*draws)
    assert found.low < 0 < found.high and abs(found.kappa) < 0.1
    assert found.predicted == pytest.approx(0.2, abs=0.02)
    same = interaction(draws[0], draws[1], draws[1], draws[1])
    assert same.kappa == pytest.approx(-math.log2(counts[1].mean())) and same.low > 0.8
    # Where both together may leave nothing the lower end is open.
    gone = interaction(draws[0], draws[1], draws[2], np.zeros(301))
    assert (gone.kappa, gone.low, gone.measured) == (None, None, 0.0)
    with pytest.raises(UsageError, match="needs a leak"):
        interaction(np.zeros(3), *draws[1:2] * 0, np.ones(3), np.ones(3), np.ones(3)[:3])


def test_coverage_of_the_interval_of_an_interaction():
    """Of 200 tables of independent filters about 5 % have an interval that leaves out 0."""
    rng = np.random.default_rng(1)
    misses = 0
    for _ in range(200):
        n = 400
        first, second = rng.random((2, n)) < [[0.5], [0.6]]
        counts = [rng.random(n) < 0.9, first, second, first & second]
        boot = rng.multinomial(n, np.full(n, 1 / n), 200)
        counts[3] = counts[3] & counts[0]
        counts[1], counts[2] = counts[1] & counts[0], counts[2] & counts[0]
        found = interaction(*[np.concatenate([[c.mean()], boot @ c / n]) for c in counts])
        misses += not found.low <= 0 <= found.high
    assert 2 <= misses <= 22


def test_attribution_adds_up_and_names_what_the_formula_does_not_explain():
    before = Terms(signal=3.0, noise=1.0, uses=10.0, rate=10.0)
    noise = attribution(before, Terms(3.0, 3.0, 10.0, 5.0))
    assert (noise.signal, noise.bandwidth) == (0.0, 0.0) and noise.scale == "log2"
    assert noise.noise == pytest.approx(-1.0) and noise.unexplained == pytest.approx(0.0)
    budget = attribution(before, Terms(3.0, 1.0, 2.5, 2.0))
    assert budget.bandwidth == pytest.approx(-2.0)
    assert budget.unexplained == pytest.approx(math.log2(0.2) + 2.0)
    # A statistic in other units moves signal against noise, and nothing else.
    scaled = attribution(before, Terms(27.0, 9.0, 10.0, 10.0))
    assert scaled.signal == pytest.approx(-scaled.noise) and scaled.signal > 0
    assert scaled.bandwidth == pytest.approx(0) == pytest.approx(scaled.unexplained)
    both = attribution(before, Terms(1.0, 2.0, 5.0, 1.0))
    total = both.signal + both.noise + both.bandwidth + both.unexplained
    assert total == pytest.approx(math.log2(0.1))
    silent = attribution(before, Terms(0.0, 1.0, 10.0, 0.0))
    assert silent.scale == "bits" and silent.signal == pytest.approx(-10.0)
    with pytest.raises(UsageError, match="above 0"):
        attribution(before, Terms(1.0, 0.0, 1.0, 1.0))


def test_shapley_values_of_known_games():
    glove = shapley(("l", "r1", "r2"), lambda s: float("l" in s and len(set(s)) > 1))
    assert glove == pytest.approx({"l": 2 / 3, "r1": 1 / 6, "r2": 1 / 6})
    with pytest.raises(UsageError, match="8 players"):
        shapley(tuple("abcdefghi"), lambda s: 0.0)


def test_a_limit_on_each_principal_is_none_on_five():
    """One look in place of five covers much, until five principals share what they read."""
    one, five = closed_forms.bsc(0.2), closed_forms.bsc(0.05792)
    alone, together = collusion_coverage(five, one, 5)
    assert alone == pytest.approx(1 - 0.2780719 / 0.6808, abs=0.01)
    assert together < 0.3 < alone
    with pytest.raises(UsageError, match="needs a leak"):
        collusion_coverage(closed_forms.bsc(0.5), one, 2)


def test_greedy_search_of_pairs_against_all_of_them():
    """Coverage of sets of filters: adding one never helps more than alone, greedy is near best."""
    rng = np.random.default_rng(2)
    names = [f"d{k}" for k in range(15)]
    covers = {name: rng.random(60) < 0.3 for name in names}

    def value(*chosen):
        return float(np.any([covers[name] for name in chosen], axis=0).mean())

    singles = {name: value(name) for name in names}
    pairs = {pair: value(*pair) for pair in combinations(names, 2)}
    assert len(pairs) == 105
    found = search_pairs(singles, pairs)
    assert found.best_value == max(pairs.values()) and found.diminishing == 1.0
    assert found.greedy_value >= (1 - 1 / math.e) * found.best_value and found.regret >= 0
    assert found.greedy_value == max(v for pair, v in pairs.items() if found.single in pair)
    # A trap: the best single defense is in no good pair.
    trap = search_pairs(
        {"a": 0.5, "b": 0.4, "c": 0.4},
        {("a", "b"): 0.5, ("b", "c"): 0.8, ("c", "a"): 0.5},
        predicted={("a", "b"): 0.7, ("a", "d"): 0.6},
    )
    assert (trap.greedy, trap.best) == (("a", "b"), ("b", "c")) and trap.regret == pytest.approx(
        0.3
    )
    assert trap.diminishing == pytest.approx(1.0) and trap.predicted == {("a", "d"): 0.6}
    alone = search_pairs({"a": 0.5}, {})
    assert alone.best is None and alone.regret is None and alone.diminishing is None
    with pytest.raises(UsageError, match="measured alone"):
        search_pairs({"a": 0.5}, {("a", "b"): 0.6})
    with pytest.raises(UsageError, match="at least 1"):
        search_pairs({}, {})


def test_thinning_multiplies_cell_by_cell():
    table = leaks()
    # Residuals ½·1, ½·½, ¾·1: coverage ½, ¾, ¼.
    assert thinned(table, "rounding", "noise") == pytest.approx((0.5 * (0.5 + 0.5) + 0.25) / 2)
