"""RMIA where likelihoods are those of texts: far below 1, and unlike from text to text."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership._shared.likelihood_ratio import log_ratio
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.core import Access, Data, Ensemble, Modality, Model, Output, View
from hartley.games.membership.membership import MembershipBrief

TOKENS, GAIN, WAVER = 12, 4.0, 0.5
"""Tokens of a text, nats that a text gains by being learnt, and a model's own deviation."""


def nats(rows):
    """What a text is to a model that has not read it: −60…−20 nats, by its first token."""
    return -60 + 40 * rows[:, 0] / 99


def fit(data, include, seed):
    """Models under which a text that was learnt is e⁴ times as likely, and all waver a little."""

    def member(k):
        known = {row.tobytes() for row in data.x[np.asarray(include)[k]]}

        def score(rows):
            rng = np.random.default_rng([seed, k, int(rows.sum())])
            learnt = np.array([row.tobytes() in known for row in rows])
            whole = nats(rows) + GAIN * learnt + WAVER * rng.standard_normal(len(rows))
            return np.repeat(whole[:, None] / (TOKENS - 1), TOKENS - 1, 1)

        return Model(
            "reader", Modality.LANGUAGE, lambda rows: np.ones((len(rows), 100)), Output.LOGITS, 100,
            score=score, fit=fit, offers=Access.SCORES | Access.TRAIN,
        )  # fmt: skip

    members = [member(k) for k in range(len(include))]
    return Ensemble(len(members), lambda x: np.stack([m.query(x) for m in members]),
                    members.__getitem__)  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    """The view of one victim, and its members."""
    rng = np.random.default_rng(0)
    texts = [Data(n, Modality.LANGUAGE, rng.integers(0, 100, (128, TOKENS))) for n in ("x", "z")]
    coins = rng.random((1, 128)) < 0.5
    return View(
        fit(texts[0], coins, 1).member(0),
        MembershipBrief(texts[0], texts[1], np.arange(128)),
        salt=3,
    ), coins[0]


def auc(score, member):
    high, low = score[member][:, None], score[~member]
    return float((high > low).mean() + (high == low).mean() / 2)


@pytest.mark.parametrize("online", [True, False])
def test_members_are_told_from_strangers_at_likelihoods_of_texts(asked, online):
    view, member = asked
    guess = rmia(view, np.random.default_rng(0), references=8, online=online).guess
    assert auc(guess, member) > 0.9
    assert (guess[member] > 0.5).mean() > 0.9 and (guess[~member] < 1).mean() > 0.9


def test_the_line_for_probabilities_near_one_stands_over_every_text(asked):
    """What the rule for texts is for: at a = 0.3 the online ratios beat the whole population."""
    view, member = asked
    rng = np.random.default_rng(1)
    out = np.ones((8, 128), dtype=bool)

    def said(rows, learnt):
        wavering = WAVER * rng.standard_normal((8, len(rows)))
        return (nats(rows) + GAIN * learnt + wavering) / (TOKENS - 1)

    inside = rng.random((8, 128)) < 0.5
    seen, shadow = said(view.brief.question.x, member)[0], said(view.brief.question.x, inside)
    strange, apart = said(view.brief.public.x, False)[0], said(view.brief.public.x, False)

    def beaten(a):
        ratio = log_ratio(seen, shadow, ~inside, True, a, labelled=False)
        others = np.sort(log_ratio(strange, apart, out, False, a, labelled=False))
        return np.searchsorted(others, ratio, side="right") / len(others)

    assert auc(beaten(1.0), member) > 0.9
    assert (beaten(0.3) == 1).mean() > 0.95 and auc(beaten(0.3), member) < 0.55
