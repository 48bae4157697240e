"""Membership in random forests: LiRA and RMIA beside the formula of SACRO-ML's LiRA.

A forest answers in votes, many of them exactly 0 or 1. SACRO-ML raises a 0 to 1e-16 before it takes
log-odds and compares the victim with the mean and the deviation of the models without the record
(``likelihood_attack.py``, mode offline). Hartley raises it to half of the smallest vote. All read
the same victim; SACRO-ML's formula reads the same reference models too, Hartley trains as many.

    python bench/forest.py [--victims 4] [--references 48] [--trees 100]

Prints AUC and TPR at 1 % FPR, means over victims. About 40 s a victim on one processor.
"""

from __future__ import annotations

import argparse

import numpy as np

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.rmia import rmia
from hartley.core import Access, Data, Modality, View
from hartley.games.membership.membership import MembershipBrief
from hartley.targets.sklearn import SklearnPipeline, from_sklearn

EPS = 1e-16
"""What SACRO-ML adds to deviations, and raises probabilities to."""


def pools():
    from sklearn.datasets import load_breast_cancer, load_digits

    yield "breast cancer", *load_breast_cancer(return_X_y=True)
    x, y = load_digits(return_X_y=True)
    yield "digits", x[:800], y[:800]


def sacro_ml(victim, shadow, include):
    """SACRO-ML's offline score (n,) of probabilities of the label, (n,) and (K, n)."""
    from scipy.stats import norm

    def log_odds(p):
        p = np.clip(p, EPS, 1 - EPS)
        return np.log(p / (1 - p))

    shadow = log_odds(shadow)
    out = [shadow[~include[:, j], j] for j in range(shadow.shape[1])]
    mean, deviation = (np.array([f(values) for values in out]) for f in (np.mean, np.std))
    return norm.cdf(log_odds(victim), mean, deviation + EPS)


def figures(scores, member):
    from sklearn.metrics import roc_auc_score

    threshold = np.sort(scores[~member])[::-1][int(0.01 * (~member).sum())]
    return roc_auc_score(member, scores), (scores[member] > threshold).mean()


def one_victim(x, y, seed, references, trees):
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(seed)
    member = rng.permutation(len(y)) < len(y) // 2
    pool = Data("pool", Modality.TABULAR, x.astype(np.float32), y)
    classes = int(y.max()) + 1
    fit = SklearnPipeline(RandomForestClassifier(trees), classes).fit
    offers = Access.LABELS | Access.SCORES | Access.TRAIN
    forest = RandomForestClassifier(trees, random_state=seed).fit(x[member], y[member])
    victim = from_sklearn(forest, classes=classes, offers=offers, fit=fit)
    view = View(victim, MembershipBrief(pool, pool, np.arange(len(pool))), salt=seed)
    label = (np.arange(len(y)), y)
    include = np.array([rng.permutation(len(y)) < len(y) // 2 for _ in range(references)])
    shadow = np.stack([answers[label] for answers in fit(pool, include, seed).query(pool.x)])
    rows = {
        "SACRO-ML's formula, offline": sacro_ml(victim.query(pool.x)[label], shadow, include),
        "loss_threshold": loss_threshold(view, rng).guess,
    }
    for attack in (lira, rmia):
        for online in (True, False):
            guess = attack(view, rng, references=references, online=online).guess
            rows[f"{attack.name}, {'online' if online else 'offline'}"] = guess
    rows["lira, offline, a variance each"] = lira(
        view, rng, references=references, online=False, variance="each"
    ).guess
    return {name: figures(scores, member) for name, scores in rows.items()}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--victims", type=int, default=4)
    ask.add_argument("--references", type=int, default=48)
    ask.add_argument("--trees", type=int, default=100)
    given = ask.parse_args()
    for name, x, y in pools():
        victims = [
            one_victim(x, y, seed, given.references, given.trees) for seed in range(given.victims)
        ]
        print(f"{name}: {len(y)} records, {given.victims} victims, {given.references} references")
        for row in victims[0]:
            auc, tpr = np.mean([victim[row] for victim in victims], 0)
            print(f"  {row:32} AUC {auc:.3f}  TPR@1% {tpr:.3f}")


if __name__ == "__main__":
    main()
