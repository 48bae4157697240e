"""Trials of known channels, drawn from a seed: what the tests of ``measure`` measure."""

import numpy as np

from hartley.core import AnswerForm, ChannelSpec, Role, Trials


def score_trials(mu, n=1000, *, clusters=0, seed=0, **spec):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    return Trials(
        ChannelSpec(clustered=clusters > 0, **spec),
        truth,
        rng.normal(size=n) + mu * truth,
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def symbol_trials(k, accuracy, n=600, *, clusters=0, erased=0.0, seed=0, **spec):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    guess = np.where(rng.random(n) < accuracy, truth, (truth + rng.integers(1, k, n)) % k)
    guess = np.where(rng.random(n) < erased, -1, guess)
    return Trials(
        ChannelSpec(form=AnswerForm.SYMBOL, alphabet=k, clustered=clusters > 0, **spec),
        truth,
        guess,
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def jam_trials(error, n=1000, *, clusters=0, k=2, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    after = np.where(rng.random(n) < error, (truth + rng.integers(1, k, n)) % k, truth)
    return Trials(
        ChannelSpec(Role.JAM, AnswerForm.SYMBOL, k, clustered=clusters > 0),
        truth,
        after,
        reference=truth.copy(),
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


def rank_trials(ranks, r=10**6, *, clusters=0):
    n = len(ranks)
    return Trials(
        ChannelSpec(form=AnswerForm.RANK, alphabet=r, clustered=clusters > 0),
        np.zeros(n, int),
        np.asarray(ranks),
        cluster=np.arange(n) * clusters // n if clusters else None,
    )


EVERY = {
    "score": lambda s: score_trials(1.0, seed=s),
    "score, clusters": lambda s: score_trials(1.0, clusters=16, seed=s),
    "score, one run": lambda s: score_trials(1.0, clusters=1, seed=s),
    "symbol": lambda s: symbol_trials(10, 0.5, seed=s),
    "bit": lambda s: symbol_trials(2, 0.8, seed=s),
    "erasures": lambda s: symbol_trials(10, 0.7, erased=0.4, seed=s),
    "symbol, clusters": lambda s: symbol_trials(10, 0.7, clusters=12, seed=s),
    "inject": lambda s: symbol_trials(4, 0.9, n=80, role=Role.INJECT, seed=s),
    "jam": lambda s: jam_trials(0.3, seed=s),
    "jam, clusters": lambda s: jam_trials(0.5, clusters=40, seed=s),
    "jam of ten symbols": lambda s: jam_trials(0.5, k=10, seed=s),
    "rank": lambda s: rank_trials(np.random.default_rng(s).integers(1, 50, 40)),
    "rank, clusters": lambda s: rank_trials(
        np.random.default_rng(s).integers(1, 50, 40), clusters=8
    ),
}
