"""Quantiles and log-odds by our small solvers, against the libraries' large ones."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership._shared import pinball_regression
from hartley.kit import logistic


def pinball(gap, level):
    return np.maximum(level * gap, (level - 1) * gap).mean()


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_pinball_loss_is_as_low_as_a_linear_programme_makes_it(level):
    from sklearn.linear_model import QuantileRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = x @ [1, -2, 0.5, 0] + rng.gumbel(size=300) * (1 + 0.5 * np.abs(x[:, 0]))
    theirs = QuantileRegressor(quantile=level, alpha=0).fit(x, y).predict(x)
    ours = pinball_regression.predict(x, pinball_regression.fit(x, y, level, ridge=0.0))
    assert pinball(y - ours, level) <= 1.003 * pinball(y - theirs, level)
    assert abs((y <= ours).mean() - level) < 0.02


def test_a_ridge_leaves_the_constant_alone():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 2)), rng.normal(5, 2, 400)
    flat = pinball_regression.fit(x, y, 0.9, ridge=1e6)
    assert np.abs(flat[:-1]).max() < 0.01
    assert flat[-1] == pytest.approx(np.quantile(y, 0.9), abs=0.05)


def test_logistic_regression_is_that_of_the_library():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 6))
    y = (x @ rng.normal(size=6) + rng.logistic(size=500) > 0.3).astype(int)
    ours = logistic.fit(x, y, ridge=0.01)
    theirs = LogisticRegression(C=1 / (0.01 * 500), tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(ours, [*theirs.coef_[0], theirs.intercept_[0]], atol=1e-5)
    apart = logistic.fit(x, (x[:, 0] > 0).astype(int), ridge=1e-3)
    assert np.isfinite(apart).all() and apart[0] > 3
