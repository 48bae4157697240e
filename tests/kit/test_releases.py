"""Ways to publish a table, nearest rows and predicates, against code that says the same plainly."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from hartley.core.errors import UsageError
from hartley.kit import table_predicates
from hartley.kit.mixed_tables import GowerTable, TableColumn, distinct, gower_nearest, numbers_of
from hartley.kit.releases import columnwise, copulas, private_tree
from hartley.kit.releases.mondrian import aggregated, groups_of
from hartley.kit.releases.public_bins import PublicBins
from hartley.kit.releases.randomised_cells import kept_rate, randomised
from hartley.kit.releases.row_overlap import _all_in, row_overlap
from hartley.kit.residual_risk import residual_risk, success_rate

COLUMNS = (TableColumn("age"), TableColumn("job", 3), TableColumn("hours"), TableColumn("sex", 2))
KINDS = numbers_of(COLUMNS)


def people(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [rng.integers(18, 90, n), rng.integers(0, 3, n), rng.normal(40, 9, n).round(1)]
    return np.column_stack([*parts, rng.integers(0, 2, n)]).astype(float)


def test_the_nearest_rows_are_those_of_a_plain_loop_and_ties_come_in_order() -> None:
    rows, queries = people(60), people(25, 1)
    rows[30:] = rows[:30]  # every distance occurs twice
    ranges = [np.ptp(np.r_[rows[:, j], queries[:, j]]) for j in range(4)]
    plain = np.zeros((25, 60))
    for i, a in enumerate(queries):
        for k, b in enumerate(rows):
            for j in range(4):
                plain[i, k] += abs(a[j] - b[j]) / ranges[j] if KINDS[j] else a[j] != b[j]
    np.testing.assert_allclose(GowerTable.of(rows, queries, KINDS).distances(queries), plain)
    for k in (1, 5):
        near, far = gower_nearest(queries, rows, COLUMNS, k)
        order = np.argsort(plain.round(12), axis=1, kind="stable")[:, :k]
        assert np.array_equal(near, order)
        np.testing.assert_allclose(far, np.take_along_axis(plain, order, 1))
    density = GowerTable.of(rows, queries, KINDS).log_density(queries, 0.3)
    np.testing.assert_allclose(density, np.log(np.exp(-plain / 0.3).mean(1)))


def test_a_column_of_one_value_makes_no_distance() -> None:
    rows = np.array([[5.0, 1.0], [5.0, 2.0]])
    near, far = gower_nearest(rows, rows, (TableColumn("same"), TableColumn("job", 3)))
    assert near[:, 0].tolist() == [0, 1] and far.max() == 0


def test_predicates_single_out_as_plain_python_says() -> None:
    rows, others = people(80), people(200, 2)
    rng = np.random.default_rng(0)
    made = [
        table_predicates.univariate(rows[distinct(rows)], KINDS),
        table_predicates.multivariate(rows, KINDS, rng, count=50, columns=3, attempts=3000),
        table_predicates.whole_rows(rows, np.array([2.0, 0, 3.0, 0])),
    ]
    assert len(made[0]) > 5 and len(made[1]) == 50
    for predicates in made:
        hits = np.array(
            [
                [all(p[j, 0] <= r[j] <= p[j, 1] for j in range(4)) for r in others]
                for p in predicates
            ]
        )
        assert np.array_equal(table_predicates.matches(predicates, others), hits)
        assert np.array_equal(table_predicates.counts(predicates, others), hits.sum(1))
        alone = hits[hits.sum(1) == 1].sum(0)
        assert np.array_equal(table_predicates.isolated(predicates, others), alone)
    for predicates in made[:2]:
        assert (table_predicates.counts(predicates, rows) == 1).all()
        assert len(np.unique(predicates.reshape(len(predicates), -1), axis=0)) == len(predicates)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_every_combination_of_quasi_identifiers_occurs_k_times(k: int) -> None:
    table = people(101)
    groups = groups_of(table, KINDS, (0, 1, 3), k)
    assert np.bincount(groups).min() >= k
    published = aggregated(table, KINDS, (0, 1, 3), groups)
    _, times = np.unique(published[:, [0, 1, 3]], axis=0, return_counts=True)
    assert times.min() >= k
    assert np.array_equal(published[:, 2], table[:, 2])  # not a quasi-identifier
    assert published[:, 0].mean() == pytest.approx(table[:, 0].mean())


def test_randomised_cells_are_private_by_the_ratio_of_their_rates() -> None:
    for epsilon, size in ((0.3, 2), (1.0, 5), (4.0, 16)):
        kept = kept_rate(epsilon, size)
        assert kept / ((1 - kept) / (size - 1)) == pytest.approx(math.exp(epsilon))
    table = np.tile(people(1), (40_000, 1))
    bins = PublicBins.of(people(500, 3), COLUMNS, 8)
    codes = bins.codes(randomised(table, bins, 8.0, np.random.default_rng(0)))
    truth = bins.codes(table)
    for j, size in enumerate(bins.sizes):
        rate = (codes[:, j] == truth[:, j]).mean()
        assert rate == pytest.approx(kept_rate(2.0, size), abs=0.01)  # a quarter of 8 each


def test_bins_are_public_and_values_stay_in_theirs() -> None:
    bins = PublicBins.of(people(500, 3), COLUMNS, 8)
    codes = bins.codes(people(300, 4))
    assert (codes >= 0).all() and (codes < np.array(bins.sizes)).all()
    again = bins.codes(bins.values(codes, np.random.default_rng(0)))
    assert np.array_equal(again, codes)
    assert bins.codes(np.array([[-5.0, 0, 999.0, 1]])).tolist() == [[0, 0, bins.sizes[2] - 1, 1]]


def test_replacing_a_row_moves_counts_and_scores_by_what_the_accountant_says() -> None:
    rng = np.random.default_rng(0)
    sizes = (4, 3, 5)
    for _ in range(200):
        codes = np.stack([rng.integers(0, size, 12) for size in sizes], 1)
        other = codes.copy()
        other[rng.integers(12)] = [rng.integers(0, size) for size in sizes]
        for j, size in enumerate(sizes):
            moved = np.bincount(codes[:, j], minlength=size) - np.bincount(
                other[:, j], minlength=size
            )
            assert np.sqrt((moved**2).sum()) <= math.sqrt(2) + 1e-12
        fixed = rng.random((4, 3)) * 3
        score = [
            np.abs(private_tree._joint(table, sizes, 0, 1) - fixed).sum()
            for table in (codes, other)
        ]
        assert abs(score[0] - score[1]) <= private_tree.SENSITIVITY + 1e-12


class Watched:
    """A generator that notes the scale of all noise that is drawn from it."""

    def __init__(self, seed: int) -> None:
        self.rng, self.gaussian, self.gumbels = np.random.default_rng(seed), [], []

    def standard_normal(self, size: tuple[int, ...]) -> np.ndarray:
        self.gaussian.append(size)
        return self.rng.standard_normal(size)

    def gumbel(self, *, scale: float, size: int) -> np.ndarray:
        self.gumbels.append(scale)
        return self.rng.gumbel(scale=scale, size=size)

    def __getattr__(self, name: str) -> object:
        return getattr(self.rng, name)


@pytest.mark.parametrize("width", [1, 2, 5, 13])
def test_the_noise_that_the_private_tree_draws_costs_the_rho_that_it_declares(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noises: list[float] = []
    plain = private_tree._noisy

    def watched(counts: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        # The deviation is read off what is added, not off what was asked for.
        noises.append(float(np.std(plain(np.zeros(40_000), noise, np.random.default_rng(0)))))
        return plain(counts, noise, rng)

    monkeypatch.setattr(private_tree, "_noisy", watched)
    codes = np.stack([np.random.default_rng(j).integers(0, 4, 50) for j in range(width)], 1)
    rng = Watched(0)
    private_tree.tree_rows(codes, (4,) * width, 0.3, rng, 50)  # type: ignore[arg-type]
    assert rng.gaussian == [(4,)] * width + [(4, 4)] * (width - 1)
    # Replacement moves counts by √2: each Gaussian costs (√2)²/(2σ²) = 1/σ². The largest of scores
    # with Gumbel noise of scale 2Δ/ε is an ε-DP choice, which costs ε²/8.
    cost = sum(1 / noise**2 for noise in noises)
    cost += sum((2 * private_tree.SENSITIVITY / scale) ** 2 / 8 for scale in rng.gumbels)
    assert len(rng.gumbels) == width - 1
    # One column has no pairs: two thirds stay unspent.
    assert cost == pytest.approx(0.3 if width > 1 else 0.1, rel=0.02)


def test_a_pair_is_chosen_by_the_law_of_the_exponential_mechanism() -> None:
    """P(pair) ∝ exp(ε·score / 2Δ), and a neighbour moves no probability by more than e^ε."""
    codes = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0]])
    sizes, rho = (2, 2, 2), 1.2
    epsilon = math.sqrt(8 * (rho / 3) / 2)  # two choices share a third of ρ at ε²/8 each

    def law(table: np.ndarray) -> dict[tuple[int, int], float]:
        weights = {}
        for a, b in ((0, 1), (0, 2), (1, 2)):
            joint = np.array(
                [[((table[:, a] == i) & (table[:, b] == j)).sum() for j in (0, 1)] for i in (0, 1)]
            )
            apart = np.outer(joint.sum(1), joint.sum(0)) / len(table)
            weights[a, b] = math.exp(epsilon * np.abs(joint - apart).sum() / (2 * 2.0))
        return {pair: weight / sum(weights.values()) for pair, weight in weights.items()}

    rng, times = np.random.default_rng(0), 20_000
    single = [np.bincount(codes[:, j], minlength=2).astype(float) for j in range(3)]
    first = [private_tree._tree(codes, sizes, single, rho, rng)[0] for _ in range(times)]
    expected = law(codes)
    assert max(expected.values()) - min(expected.values()) > 0.1
    for pair, share in expected.items():
        seen = first.count(pair)
        assert abs(seen - times * share) < 4 * math.sqrt(times * share * (1 - share))


def test_a_tree_without_noise_has_the_marginals_and_the_strongest_pair_of_its_table() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 4000)
    second = np.where(rng.random(4000) < 0.9, first, rng.integers(0, 4, 4000))
    codes = np.stack([first, rng.integers(0, 3, 4000), second], 1)
    rows, pairs = private_tree.tree_rows(codes, (4, 3, 4), math.inf, rng, 20_000)
    assert (0, 2) in pairs and len(pairs) == 2
    for j in range(3):
        shares = [np.bincount(x[:, j], minlength=4) / len(x) for x in (codes, rows)]
        np.testing.assert_allclose(*shares, atol=0.02)
    assert (rows[:, 0] == rows[:, 2]).mean() == pytest.approx((first == second).mean(), abs=0.02)


@pytest.mark.parametrize("kind", ["gaussian", "vine"])
def test_a_copula_keeps_marginals_and_correlations(kind: str) -> None:
    if kind == "vine":
        pytest.importorskip("pyvinecopulib")
    rng = np.random.default_rng(0)
    base = rng.standard_normal((3000, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 1]])
    table = np.column_stack([np.exp(base[:, 0]), base[:, 1], base[:, 2] > 0.5]).astype(float)
    kinds = np.array([True, True, False])
    fit = copulas.vine if kind == "vine" else copulas.gaussian
    out = copulas.synthetic(table, kinds, rng, fit, count=6000)
    again = copulas.synthetic(table[:50], kinds, np.random.default_rng(3), fit)
    assert np.array_equal(
        again, copulas.synthetic(table[:50], kinds, np.random.default_rng(3), fit)
    )
    assert out[:, 2].mean() == pytest.approx(table[:, 2].mean(), abs=0.03)
    for j in (0, 1):
        quantiles = [np.quantile(x[:, j], [0.1, 0.5, 0.9]) for x in (table, out)]
        np.testing.assert_allclose(*quantiles, rtol=0.15, atol=0.05)
    ranks = [np.corrcoef(np.argsort(np.argsort(x[:, :2], 0), 0).T)[0, 1] for x in (table, out)]
    assert ranks[0] == pytest.approx(ranks[1], abs=0.04)


def test_success_rates_are_wilsons_and_the_risk_is_the_share_of_the_margin() -> None:
    for k, n in ((0, 20), (7, 30), (500, 500), (123, 1000)):
        rate = success_rate(k, n)
        low, high = binomtest(k, n).proportion_ci(method="wilson")
        assert rate.interval == pytest.approx((low, high), abs=1e-12)
    risk = residual_risk(success_rate(80, 100), success_rate(20, 100))
    a, c = success_rate(80, 100).value, success_rate(20, 100).value
    assert risk.value == pytest.approx((a - c) / (1 - c))
    assert residual_risk(success_rate(1, 100), success_rate(50, 100)).cut == 0.0
    with pytest.raises(UsageError, match="attacks must be at least 1"):
        success_rate(0, 0)


def test_rows_of_a_value_fall_into_one_table_as_cards_do() -> None:
    splits = list(combinations(range(7), 3))
    for times in (1, 2, 3):
        rate = np.mean([set(range(times)) <= set(split) for split in splits])
        assert _all_in(3, 7, times) == pytest.approx(rate)
    assert _all_in(3, 7, 4) == 0.0


def narrow(n: int, rng: np.random.Generator) -> np.ndarray:
    parts = [
        rng.integers(0, 2, n),
        rng.integers(18, 90, n),
        rng.choice(4, n, p=[0.6, 0.3, 0.08, 0.02]),
    ]
    return np.column_stack(parts).astype(float)


def test_shared_rows_of_honest_narrow_tables_are_chance_and_copied_rows_are_not() -> None:
    rng = np.random.default_rng(0)
    chances, shares = [], []
    for _ in range(200):
        overlap = row_overlap(narrow(300, rng), narrow(200, rng))
        chances.append(overlap.p)
        shares.append(overlap.share - overlap.recurring)
    assert np.mean(np.array(chances) < 0.05) <= 0.08 and min(chances) > 1e-3
    # What recurs within the first table is what the second shares with it, up to one row of 300.
    assert abs(np.mean(shares)) < 0.02
    wide = [rng.normal(size=(n, 5)) for n in (300, 200)]
    assert row_overlap(*wide).p == 1.0 and row_overlap(*wide).share == 0.0
    wide[1][:20] = wide[0][:20]
    assert row_overlap(*wide).share == 0.1 and row_overlap(*wide).p < 1e-4
    table = narrow(300, rng)
    assert row_overlap(table, table[rng.permutation(300)[:200]]).p < 1e-6


def test_columns_by_themselves_keep_their_laws_and_not_what_connects_them():
    """Rows of metasyn: shares of words and quantiles stay, the link of two columns goes."""
    pytest.importorskip("metasyn")
    rng = np.random.default_rng(0)
    words = rng.choice(3, 600, p=[0.6, 0.3, 0.1]).astype(float)
    numbers = 20.0 + 10 * words + rng.normal(0, 2, 600)
    table = np.column_stack([words, numbers, np.rint(numbers)])
    is_number = np.array([False, True, True])
    rows = columnwise.synthetic(table, is_number, np.random.default_rng(1))
    again = columnwise.synthetic(table, is_number, np.random.default_rng(1))
    assert rows.shape == table.shape and (rows == again).all()
    shares = np.bincount(rows[:, 0].astype(int), minlength=3) / 600
    assert np.abs(shares - [0.6, 0.3, 0.1]).max() < 0.08
    assert abs(rows[:, 1].mean() - numbers.mean()) < 1.5
    assert abs(np.corrcoef(rows[:, 0], rows[:, 1])[0, 1]) < 0.2 < np.corrcoef(words, numbers)[0, 1]
    assert (rows[:, 2] == np.rint(rows[:, 2])).all()
