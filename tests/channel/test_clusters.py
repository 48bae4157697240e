import itertools
import math

import numpy as np
import pytest

from hartley.channel.bounds import cluster_code
from hartley.channel.bounds.prequential import ClusterGains, cluster_gains
from hartley.channel.readouts import many_symbols, rank
from hartley.infotheory.e_values import mean_interval


def fair(gain_of, bits):
    """Mean of 2^gain over all secrets of so many fair bits, answers held fixed: at most 1."""
    every = [gain_of(np.array(s)) for s in itertools.product((0, 1), repeat=bits)]
    return float(np.mean(2.0 ** np.array(every)))


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("ranges", [False, True])
def test_the_score_code_is_a_law_over_secrets(seed, ranges):
    """A code that spent more than one unit of probability could certify what is not there."""
    made = np.random.default_rng(seed)
    score, cluster = np.round(made.normal(size=7), 1), np.array([0, 0, 0, 1, 1, 1, 2])

    def gain(truth):
        return cluster_code.score_gains(
            truth, score, cluster, rng(), exchangeable=False, ranges=ranges
        ).sum()

    assert fair(gain, 7) == pytest.approx(1.0, abs=1e-9)


def arrangements():
    """All secrets of two clusters of four uses with two ones each."""
    for ones in itertools.combinations(range(4), 2):
        for more in itertools.combinations(range(4), 2):
            truth = np.zeros(8, int)
            truth[[*ones, *(4 + i for i in more)]] = 1
            yield truth


def test_the_shuffled_code_is_a_law_over_arrangements():
    score, cluster = np.arange(8.0), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    weights = []
    for truth in arrangements():
        gain = cluster_code.score_gains(
            truth, score, cluster, rng(), exchangeable=True, ranges=False
        )
        weights.append(2.0 ** gain.sum())
    assert len(weights) == 36
    assert np.mean(weights) == pytest.approx(1.0, abs=1e-9)


def test_a_large_shuffled_cluster_is_bounded_not_normalised(monkeypatch):
    truth, cluster = perfect(4, 100)

    def gain():
        return cluster_code.score_gains(
            truth, truth.astype(float), cluster, rng(), exchangeable=True, ranges=False
        ).sum()

    exact = gain()
    monkeypatch.setattr(cluster_code, "EXACT", 0)
    assert 300 < gain() < exact < 400


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pieces", [1, 2])
def test_the_prequential_code_is_a_law_over_secrets(seed, pieces):
    """Of scores, and of guessed bits, which are scores of three values."""
    drawn = np.random.default_rng(seed)
    score = np.round(drawn.normal(size=7), 1) if seed < 2 else drawn.integers(0, 3, 7) / 2.0
    cluster = np.array([0, 0, 0, 1, 1, 1, 2])

    def gain(truth):
        code = cluster_gains(truth, score, cluster, pieces, rng(), exchangeable=False)
        return code.log_ratios[:, 0].sum()

    assert fair(gain, 7) == pytest.approx(1.0, abs=1e-9)


def test_the_shuffled_prequential_code_is_at_most_a_law_over_arrangements():
    score, cluster = np.arange(8.0), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    weights = []
    for truth in arrangements():
        code = cluster_gains(truth, score, cluster, 1, rng(), exchangeable=True)
        weights.append(2.0 ** code.log_ratios[:, 0].sum())
    assert 0.5 < np.mean(weights) <= 1.0 + 1e-9


def test_the_code_of_three_symbols_is_a_law_over_secrets():
    guess, cluster = np.array([0, 1, -1, 1, 0, 1]), np.array([0, 0, 0, 1, 1, 2])
    weights = []
    for truth in map(np.array, itertools.product(range(3), repeat=6)):
        outcome = np.where(guess < 0, 2, np.where(guess == truth, 0, 1))
        answers = many_symbols.Answers(truth, outcome, cluster, 3, telling=False)
        code = many_symbols._cluster_code(answers, cluster, planted=True)
        weights.append(2.0 ** code.log_ratios.sum())
    assert np.mean(weights) == pytest.approx(1.0, abs=1e-9)


def test_the_code_of_ranks_is_a_law_over_ranks():
    cluster, edges = np.array([0, 0, 1]), rank.octaves(5)
    weights = []
    for ranks in itertools.product(range(1, 6), repeat=3):
        bucket = np.searchsorted(edges, ranks, side="right") - 1
        weights.append(2.0 ** rank._cluster_code(bucket, edges, cluster, 5).log_ratios.sum())
    assert np.mean(weights) == pytest.approx(1.0, abs=1e-9)


def code_of(truth, guess, cluster):
    return cluster_gains(truth, guess.astype(float), cluster, 1, rng(), exchangeable=False)


def perfect(m, size, seed=0):
    made = np.random.default_rng(seed)
    truth = made.integers(0, 2, m * size)
    return truth, np.repeat(np.arange(m), size)


@pytest.mark.parametrize("m", [8, 16, 64])
def test_a_full_leak_comes_near_what_so_few_clusters_can_show(m):
    """Nothing valid exceeds alpha^(1/m) of a bit here (all-or-nothing law); ours is near."""
    truth, cluster = perfect(m, 256)
    low = code_of(truth, truth, cluster).lower(0.05)
    assert 0.9 * 0.05 ** (1 / (m - 1)) < low < 0.05 ** (1 / m)


def test_it_beats_betting_on_each_rate():
    """The obvious way, bounds for both rates by cluster: far wider with so few clusters."""
    m = 16
    truth, cluster = perfect(m, 128)
    made = np.random.default_rng(3)
    flag = np.where(made.random(len(truth)) < 0.1, 1 - truth, truth)
    ours = code_of(truth, flag, cluster).lower(0.05)
    one = truth == 1
    rates = [
        cluster_code.grouped(flag * part, cluster) / cluster_code.grouped(part, cluster)
        for part in (one, ~one)
    ]
    a, b = mean_interval(rates[0], 0.05)[0], mean_interval(rates[1], 0.05)[1]
    from hartley.infotheory.binary_channel import bits

    assert ours > 1.5 * float(bits(a, b))


def test_one_cluster_teaches_and_certifies_nothing_and_two_are_worth_alpha():
    truth, cluster = perfect(1, 4096)
    assert code_of(truth, truth, cluster).lower(0.05) == 0.0
    truth, cluster = perfect(2, 4096)
    assert 0.04 < code_of(truth, truth, cluster).lower(0.05) < 0.05


def test_a_bad_cluster_costs_little_however_large():
    """Hedged by the prior: one large cluster that fooled the reader does not ruin the bound."""
    truth, cluster = perfect(20, 2000)
    guess = truth.copy()
    guess[cluster == 19] = 1 - truth[cluster == 19]
    code = code_of(truth, guess, cluster)
    assert code.log_ratios[19, 0] < -1000
    assert code.lower(0.05) > 0.7


def test_the_mixture_is_between_its_best_part_and_its_price():
    each = [np.array([3.0, 5.0, -2.0]), np.array([-4.0, 1.0, 0.0])]
    whole = cluster_code.mixture(each)
    assert whole.sum() == pytest.approx(np.logaddexp2(each[0].sum(), each[1].sum()) - 1.0)
    assert each[0].sum() - 1.0 <= whole.sum() <= each[0].sum()


def test_nothing_from_nothing():
    assert ClusterGains(np.zeros((0, 1)), np.zeros(0)).lower(0.05) == 0.0
    assert ClusterGains(np.full((9, 1), -5.0), np.full(9, 10.0)).lower(0.05) == 0.0


def test_a_predictor_follows_krichevsky_and_trofimov():
    counts = np.array([[[3.0, 1.0]], [[0.0, 2.0]]])
    found = cluster_code.gains(cluster_code.Predictor(counts, np.array([0.5, 0.5])))

    def kt(a, b):
        g = math.lgamma
        return (g(a + 0.5) + g(b + 0.5) - 2 * g(0.5) + g(1) - g(a + b + 1)) / math.log(2)

    assert found[0] == pytest.approx(kt(3, 1) + 4)
    assert found.sum() == pytest.approx(kt(3, 3) + 6)
