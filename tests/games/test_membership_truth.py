"""Membership where the channel is known exactly: the noisy mean of the members is released.

The records are orthonormal and the release is Σ of the members + σ·N(0, I) (their mean, times a
number that everybody knows), so that what the release says of record i is bᵢ + σ·N(0, 1) and of no
other: the best attack is LiRA's likelihood ratio with d′ = 1/σ, and each record's channel is a
binary input with Gaussian noise. The real game deals, the real LiRA trains its references, and the
measured bits are held against the closed forms.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.channel.measure import measure
from hartley.core import Access, ChannelSpec, Data, Ensemble, Modality, Model, Output, Scene
from hartley.engine.run.play import play
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.infotheory.gaussian import bpsk_capacity, phi, phi_inverse

N, ROUNDS, RUNS, ALPHA = 128, 8, 50, 0.05
"""Of 50 runs 8 that miss are significantly more than alpha; a bound that forgot to pay for its
choice of a threshold, or an interval half as wide, misses in far more."""
REFERENCES = 128
"""The likelihood ratio from 64 models a side reads about 2 % less than the ideal one."""


def noisy_mean(sigma: float) -> Scene:
    """The owner releases the mean of its members under noise, as a model of one number a record."""
    records = Data("pool", Modality.TABULAR, np.eye(N, dtype=np.float32), np.ones(N, int))

    def fit(data, include, seed):
        noise = np.random.default_rng(seed).standard_normal((len(include), N))
        release = include @ data.x + sigma * noise

        def answers(x, rows):
            told = np.asarray(release[rows] @ x.T)
            return np.stack([np.zeros_like(told), told], -1)

        return Ensemble(
            len(include),
            lambda x: answers(x, slice(None)),
            lambda k: Model(
                "noisy mean",
                Modality.TABULAR,
                lambda x: answers(x, k),
                Output.LOGITS,
                2,
                fit=fit,
                offers=Access.LABELS | Access.SCORES | Access.TRAIN,
            ),
        )

    model = fit(records, np.ones((1, N)), 0).member(0)
    return Scene("noisy mean", Modality.TABULAR, model=model, fit=fit, extra={"pool": records})


def information(tpr: float, fpr: float) -> float:
    """Bits that one flag with these rates gives about a fair coin."""

    def h2(p: float) -> float:
        return 0.0 if p in {0.0, 1.0} else -p * math.log2(p) - (1 - p) * math.log2(1 - p)

    return h2((tpr + fpr) / 2) - h2(tpr) / 2 - h2(fpr) / 2


def at_the_declared_levels(d: float) -> float:
    """The bits through the best of the declared false-positive levels."""
    return max(information(phi(d + phi_inverse(q)), q) for q in ChannelSpec().levels)


@pytest.mark.parametrize("d", [0.5, pytest.param(1.5, marks=pytest.mark.slow)])
def test_the_measured_bits_cover_the_truth(d):
    scene = noisy_mean(1 / d)
    best, read = bpsk_capacity(d * d / 4), at_the_declared_levels(d)
    assert 0 < read < best
    wrong = dict.fromkeys(("certified", "interval", "posterior"), 0)
    points, thresholds, params = [], [], {"references": REFERENCES}
    for seed in range(RUNS):
        trials = play(lira, scene, seed=seed, game_params={"rounds": ROUNDS}, params=params)
        heard = measure(trials, redraws=1)
        points.append(heard.bits.value)
        wrong["certified"] += heard.bits.lower > best
        # From finite references the ratio has a little less than the best attack.
        wrong["interval"] += not heard.bits.lower <= best <= heard.high / 0.95
        thresholds.append(heard.metrics["bits_one_threshold"]["value"])
        told = heard.metrics["bits_posterior"]
        wrong["posterior"] += told["low"] > best
    for name, count in wrong.items():
        low, _ = clopper_pearson(count, RUNS, 0.01)
        assert float(low) <= ALPHA, (name, count)
    assert np.mean(points) == pytest.approx(best, rel=0.1)
    assert np.mean(thresholds) == pytest.approx(read, rel=0.25)
