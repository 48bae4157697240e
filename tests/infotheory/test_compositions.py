"""Compositions of attacks: what bounds the bits at their end, and what breaks the bound."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import AnswerForm, ChannelSpec, Kind, Quantity, Trials
from hartley.core.errors import UsageError
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory import closed_forms
from hartley.infotheory.compositions import (
    Composition,
    Link,
    collusion,
    composition_of,
    confusion,
    ldp_contraction,
    link_of,
    parallel_contraction,
    pass_erasures,
    pooled,
    triple,
    upper_of,
)

CASES = json.loads((Path(__file__).parents[1] / "channel" / "channels.json").read_text())["cases"]


def case(name):
    return next(c for c in CASES if c["id"].startswith(name))


def certified(low):
    return Quantity("bits", low, lower=low, kind=Kind.CERTIFIED, alpha=0.05)


def test_the_cascade_of_two_channels():
    c = case("C36")
    w1, w2, want = c["params"]["W1"], c["params"]["W2"], c["expected"]
    links = [link_of(w1, fresh=1), link_of(w2)]
    reported = triple(links, 1.0, end_to_end=certified(0.15))
    assert reported.upper.value == pytest.approx(want["sdpi_bound_kl"], abs=2e-6)
    assert reported.upper.method == "strong data processing"
    assert reported.estimate.value == pytest.approx(want["mi_cascade"])
    assert reported.estimate.kind is Kind.ESTIMATE and not reported.violation
    # Without a contraction only data processing is left, with Dobrushin's a little more.
    bits = [link.bits for link in links]
    assert upper_of([Link(bits[0], fresh=1), Link(bits[1])], 1.0)[0] == pytest.approx(
        want["dpi_bound"], abs=2e-6
    )
    dobrushin = Link(9.0, mx.eta_tv(w2))
    assert upper_of([links[0], dobrushin], 1.0)[0] == pytest.approx(
        want["sdpi_bound_dobrushin"], abs=2e-6
    )
    leaks = [link_of(w, fresh=k, leakage=True) for w, k in ((w1, 1), (w2, 0))]
    assert upper_of(leaks, 1.0)[0] == pytest.approx(want["min_capacity_bound"])
    assert triple(links, 1.0, end_to_end=certified(0.2)).violation


def test_looks_add_up_at_most_and_are_exact_where_they_are_enumerated():
    c = case("C38")
    p, n, want = c["params"]["p"], c["params"]["n"], c["expected"]
    w = closed_forms.bsc(p)
    together = collusion(w, n)
    assert together.bits == pytest.approx(want["mi"])
    assert together.alone == pytest.approx(want["mi_single"])
    assert upper_of([link_of(w, fresh=n)], 9.0)[0] == pytest.approx(want["sum_bound"], abs=1e-5)
    assert together.upper == 1.0  # the entropy of the secret
    assert mx.mutual_information(pooled(*[w] * n)) == pytest.approx(want["mi"])
    assert together.leakage_upper <= n * mx.min_capacity(w) and together.leakage_upper == 1.0
    other = pooled(w, closed_forms.bsc(0.1))
    assert mx.mutual_information(other) < mx.mutual_information(w) + 0.532
    with pytest.raises(UsageError, match="same inputs"):
        pooled(w, np.eye(3))
    with pytest.raises(UsageError, match="limit"):
        pooled(*[w] * 20)


def test_data_processing_is_applied_to_stages_without_fresh_uses_alone():
    """A stage that asks the victim anew may hand on more than it was handed."""
    first, second = link_of(closed_forms.bsc(0.2), fresh=1), closed_forms.bsc(0.2)
    handed_on = upper_of([first, link_of(second)], 1.0)
    asked = upper_of([first, link_of(second, fresh=1)], 1.0)
    assert handed_on[0] == pytest.approx(0.36 * 0.278072, abs=1e-5)
    assert asked == (pytest.approx(2 * 0.278072, abs=1e-5), "sum over uses (chain rule)")
    # Two looks really do read more than the bound of the chain without questions.
    assert handed_on[0] < collusion(second, 2).bits < asked[0]
    unmetered = upper_of([first, link_of(second, fresh=None, name="rmia")], 1.0)
    assert unmetered == (1.0, "entropy: uses of rmia were not metered")
    assert triple([first, link_of(second, fresh=1)], 1.0).estimate is None
    assert upper_of([link_of(second, fresh=9)], 1.0) == (1.0, "entropy")


def test_the_three_compositions_are_kept_apart():
    kinds = {
        composition_of(changes_channel=changes, fresh=fresh)
        for changes, fresh in product((True, False), (0, 5, None))
    }
    assert kinds == set(Composition)
    assert composition_of(changes_channel=False, fresh=0) is Composition.DEGRADE
    assert composition_of(changes_channel=False, fresh=None) is Composition.AGGREGATE
    assert composition_of(changes_channel=True, fresh=0) is Composition.ENABLE


@pytest.mark.parametrize("seed", range(3))
def test_no_law_of_the_secret_passes_the_bound(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        k, m, j = rng.integers(2, 5, 3)
        w1, w2 = rng.dirichlet(np.full(m, 0.3), k), rng.dirichlet(np.full(j, 0.3), m)
        prior = rng.dirichlet(np.ones(k))
        bound, _ = upper_of([link_of(w1, fresh=1), link_of(w2)], mx.entropy(prior))
        assert mx.mutual_information(mx.cascade(w1, w2), prior) <= bound + 1e-9


def played(w1, w2, n, rng, side):
    """Trials of a secret that passes two channels; in a share ``side`` of them it goes round."""

    def through(w, x):
        return (rng.random(len(x))[:, None] > np.cumsum(w[x], 1)).sum(1)

    truth = rng.integers(0, len(w1), n)
    end = np.where(rng.random(n) < side, w2[truth].argmax(1), through(w2, through(w1, truth)))
    return Trials(ChannelSpec(form=AnswerForm.SYMBOL, alphabet=len(w1)), truth, end)


def test_random_cascades_do_not_violate_and_a_side_channel_does():
    """``bench/cascades.py`` measures the rate of many, binary ones are in ``test_matrix``.

    A second stage that loses nothing makes the bound tight.
    """
    rng = np.random.default_rng(5)
    count = {0.0: 0, 0.3: 0}
    for side, runs in ((0.0, 40), (0.3, 10)):
        for _ in range(runs):
            w1, w2 = closed_forms.symmetric(4, rng.uniform(0.4, 0.9)), np.eye(4)
            links = [link_of(w1, fresh=1), link_of(w2)]
            low = measure(played(w1, w2, 600, rng, side)).bits
            count[side] += triple(links, 2.0, end_to_end=low).violation
    assert count[0.0] <= 6  # at 5 % more than 6 of 40 has chance 0.3 %
    assert count[0.3] >= 9


def test_dropped_items_are_erasures():
    w = confusion([0, 0, 1, 1], [0, -1, 1, 1], 2, 2)
    assert w.tolist() == [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    whole = mx.cascade(w, pass_erasures(closed_forms.bsc(0.1)))
    assert whole[0].tolist() == pytest.approx([0.45, 0.05, 0.5])
    with pytest.raises(UsageError, match="no trial of 1"):
        confusion([0], [0], 2, 2)
    with pytest.raises(UsageError, match="symbols"):
        confusion([0, 1], [0, 2], 2, 2)
    with pytest.raises(UsageError, match="takes 2 inputs"):
        triple([link_of(w, fresh=1), link_of(closed_forms.bsc(0.1))], 1.0)


def test_local_privacy_contracts():
    for epsilon in (0.3, 1.0, 3.0):
        tv, kl = ldp_contraction(epsilon)
        p = 1 / (1 + np.exp(epsilon))
        assert (tv, kl) == (
            pytest.approx(mx.eta_tv(closed_forms.bsc(p))),
            pytest.approx(mx.eta_kl(closed_forms.bsc(p))),
        )
        rng = np.random.default_rng(0)
        for _ in range(30):  # any ε-LDP channel: rows within e^ε of one law
            law = rng.dirichlet(np.ones(4))
            tilt = rng.choice([1.0, np.exp(epsilon)], (3, 4))
            w = law * tilt
            w /= w.sum(1, keepdims=True)
            ratio = (w.max(0) / w.min(0)).max()
            assert mx.eta_kl(w) <= ldp_contraction(float(np.log(ratio)))[1] + 1e-9
    eta = 0.36
    assert parallel_contraction(eta, 3) == pytest.approx(1 - 0.64**3)
    assert mx.eta_kl(mx.repeated(closed_forms.bsc(0.2), 3)) <= parallel_contraction(eta, 3)
    assert parallel_contraction(1.0, 2) == 1.0 and parallel_contraction(1.0, 0) == 0.0


def test_mistakes():
    w = closed_forms.bsc(0.1)
    with pytest.raises(UsageError, match="first stage of loss must use"):
        upper_of([link_of(w, name="loss")], 1.0)
    with pytest.raises(UsageError, match="at least 1 stage"):
        upper_of([], 1.0)
    with pytest.raises(UsageError, match="certified quantity"):
        triple([link_of(w, fresh=1)], 1.0, end_to_end=Quantity("bits", 0.2, lower=0.1))
    for wrong in ({"bits": -1.0}, {"contraction": 1.5}, {"fresh": -1}):
        with pytest.raises(UsageError, match="must be"):
            Link(**{"bits": 1.0, **wrong})
    with pytest.raises(UsageError, match="epsilon"):
        ldp_contraction(-1.0)
    with pytest.raises(UsageError, match="eta"):
        parallel_contraction(1.5, 1)
