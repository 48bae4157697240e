"""MemGuard: labels stay, distortion is bounded, and the classifier it is made against is fooled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hartley.core import Output
from hartley.defenses.noise.memguard import AttackClassifiers, learn, memguard, normalised


@pytest.fixture(scope="module")
def bare(tiny):
    return tiny.scene()


@pytest.fixture(scope="module")
def judged(tiny, bare):
    made, include, pool = tiny.victims(bare)
    test = bare.extra["test"]
    judges = learn(made, pool, include, test, output=Output.PROBABILITIES, seed=1)
    return made, include, pool, judges


def verdicts(judges: AttackClassifiers, logs: np.ndarray) -> np.ndarray:
    held = [torch.from_numpy(np.array(w)) for w in judges.weights.values()]
    with torch.no_grad():
        return judges.verdict(torch.from_numpy(logs.astype(np.float32)), held).numpy()


def test_the_owner_can_tell_his_members_and_then_no_longer(judged):
    made, include, pool, judges = judged
    clear = normalised(made.query(pool.x), Output.PROBABILITIES)
    sure = verdicts(judges, clear)
    said = [(v[row].mean() - v[~row].mean()) for v, row in zip(sure, include, strict=True)]
    assert min(said) > 0.3  # it hears members it learnt from above strangers it never saw
    noisy = judges.undecided(clear, [0, 1, 2, 3], 60)
    after = verdicts(judges, noisy)
    turned = np.abs(noisy - clear).max(2) > 1e-6
    assert turned.mean() > 0.8
    assert np.abs(after[turned]).max() < 0.1 < np.abs(sure[turned]).mean()
    np.testing.assert_array_equal(noisy.argmax(2), clear.argmax(2))
    one = judges.undecided(clear[2:3], [2], 60)
    np.testing.assert_allclose(one[0], noisy[2], atol=1e-4)


@pytest.mark.parametrize("budget", [0.05, 0.3])
def test_labels_stay_and_the_expected_distortion_is_within_the_budget(tiny, bare, budget):
    free, _, pool = tiny.victims(bare)
    guarded, _, _ = tiny.victims(memguard(bare, tiny.rng(), budget=budget))
    before, after = free.query(pool.x), guarded.query(pool.x)
    np.testing.assert_allclose(after.sum(2), 1, atol=1e-4)
    np.testing.assert_array_equal(before.argmax(2), after.argmax(2))
    apart = np.abs(before - after).sum(2)
    assert 0 < apart.mean() <= budget * 1.25  # a mean of coins: 800 answers
    np.testing.assert_array_equal(guarded.query(pool.x), after)
    np.testing.assert_allclose(guarded.member(1).query(pool.x), after[1], atol=1e-4)


def test_a_small_budget_changes_few_answers_and_a_large_one_most(tiny, bare):
    free, _, pool = tiny.victims(bare)
    shares = []
    for budget in (0.0, 0.02, 2.0):
        guarded, _, _ = tiny.victims(memguard(bare, tiny.rng(), budget=budget))
        changed = np.abs(free.query(pool.x) - guarded.query(pool.x)).max(2) > 1e-9
        shares.append(changed.mean())
    assert shares[0] < 0.01 and shares[0] <= shares[1] < shares[2] - 0.2 and shares[2] > 0.8


def test_the_deployed_model_is_guarded_in_its_own_units(tiny, bare):
    from dataclasses import replace

    logits = replace(
        bare.model,
        output=Output.LOGITS,
        query=lambda x: 3 + np.log(bare.model.query(x) + 1e-12),
    )
    scene = replace(bare, model=logits, fit=None)
    guarded = memguard(scene, tiny.rng(), budget=2.0)
    x = bare.train.x
    before, after = logits.query(x), guarded.model.query(x)
    assert np.abs(normalised(before, Output.LOGITS) - normalised(after, Output.LOGITS)).max() > 1e-3
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
