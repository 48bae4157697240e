"""LiRA with 100 reference models on breast cancer: Hartley beside SACRO-ML, on the same work.

Both sides see the same split, the same target and the same kind of reference model, offline LiRA
with a variance for each record. SACRO-ML runs in an environment of its own, as its own process:

    python -m venv peers
    peers/bin/pip install --no-deps sacroml==2.0.1
    peers/bin/pip install torch scikit-learn pandas matplotlib fpdf2 pypdf pyyaml dictdiffer \\
        multiprocess prompt-toolkit
    python bench/lira.py --peer peers/bin/python

Prints claim, ours, theirs, verdict. Leave ``--peer`` out for our side alone. One thread. The two
sides take turns, each going first every other time; what counts is the ratio of the two within a
turn, by processor seconds (by wall time where ``--workers`` gives us more than one process): the
median over turns, with a bootstrap interval. About five minutes with a peer, one of it ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley.attacks.model_to_data.reference_models import _memo
from hartley.core import Access, Data, Ensemble, Modality, Model, View
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.fleet import Training, train
from hartley.kit.nets import dense
from hartley.targets.sklearn import SklearnPipeline, from_sklearn
from hartley.targets.torch import softmax

PEER = Path(__file__).parent / "peers" / "sacro_lira.py"
CLAIM = {"mlp": 8.0, "forest": 1.0}


def split(seed: int):
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = load_breast_cancer(return_X_y=True)
    return train_test_split(
        StandardScaler().fit_transform(x), y, test_size=0.5, stratify=y, random_state=seed
    )


def target(kind: str, x, y, seed: int):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    if kind == "mlp":
        return MLPClassifier((64,), max_iter=60, batch_size=32, random_state=seed).fit(x, y)
    return RandomForestClassifier(random_state=seed).fit(x, y)


def mlp_fit(data: Data, include, seed: int) -> Ensemble:
    """scikit-learn's MLPClassifier((64,)) of 60 epochs at batch 32, as a fleet."""
    net = dense((data.x.shape[1],), 2, (64,))
    recipe = Training(epochs=60, batch=32, lr=1e-3)
    fleet = train(net, data.x, data.y, include, recipe, seed=seed)

    def member(k: int) -> Model:
        return Model("mlp", data.modality, lambda x: softmax(fleet.query(x)[k]), classes=2)

    return Ensemble(len(fleet), lambda x: softmax(fleet.query(x)), member, fleet.facts)


def ours(kind: str, models: int, seed: int, workers: int) -> dict[str, float]:
    import warnings

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    from hartley.attacks.model_to_data.membership.lira import lira

    warnings.simplefilter("ignore")
    x_train, x_test, y_train, y_test = split(seed)
    pool = Data(
        "breast cancer",
        Modality.TABULAR,
        np.concatenate([x_train, x_test]).astype(np.float32),
        np.concatenate([y_train, y_test]),
    )
    truth = np.arange(len(pool)) < len(x_train)
    forest = SklearnPipeline(RandomForestClassifier(), 2, workers=workers)
    fit = mlp_fit if kind == "mlp" else forest.fit
    offers = Access.LABELS | Access.SCORES | Access.TRAIN
    victim = from_sklearn(target(kind, x_train, y_train, seed), classes=2, offers=offers, fit=fit)
    view = View(victim, MembershipBrief(pool, pool, np.arange(len(pool))), salt=seed)
    started, clock = time.perf_counter(), time.process_time()
    got = lira(view, np.random.default_rng(seed), references=models, online=False, variance="each")
    seconds, spent = time.perf_counter() - started, time.process_time() - clock
    auc = float(roc_auc_score(truth, got.guess))
    return {"seconds": seconds, "cpu": spent, "auc": auc}


def theirs(python: str, kind: str, models: int, seed: int) -> dict[str, float]:
    done = subprocess.run(
        [python, "-W", "ignore", str(PEER), kind, str(models), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(f"SACRO-ML failed: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def interval(auc: float, n: int) -> float:
    """Half-width at 95 % of an AUC over n + n records, by Hanley and McNeil's variance."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return 1.96 * np.sqrt(
        (auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)) / n**2
    )


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--peer", help="python of the environment that holds SACRO-ML")
    ask.add_argument("--models", type=int, default=100)
    ask.add_argument("--workers", type=int, default=1)
    ask.add_argument("--turns", type=int, default=6, help="how often each side runs")
    ask.add_argument("--only", choices=["mlp", "forest"])
    args = ask.parse_args()
    import torch

    torch.set_num_threads(1)
    ours("mlp", 2, 1, 1)  # torch's and scikit-learn's imports are not the attack's
    by = "cpu" if args.workers == 1 else "seconds"
    for kind in [args.only] if args.only else ["mlp", "forest"]:
        mine, peers = [], []
        for turn in range(args.turns):
            _memo.clear()  # what the last turn trained is not this turn's
            if args.peer and turn % 2:
                peers.append(theirs(args.peer, kind, args.models, 0))
            mine.append(ours(kind, args.models, 0, args.workers))
            if args.peer and not turn % 2:
                peers.append(theirs(args.peer, kind, args.models, 0))
        line = f"{kind:7s} ours {told(mine)}"
        if peers:
            ratio = np.array([b[by] / a[by] for a, b in zip(mine, peers, strict=True)])
            draws = np.random.default_rng(0).choice(ratio, (10_000, len(ratio)))
            low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
            half = interval(peers[0]["auc"], 284)
            same = abs(mine[0]["auc"] - peers[0]["auc"]) <= half
            good = low >= CLAIM[kind] and same
            line += (
                f"\n        SACRO-ML {told(peers)} ± {half:.3f}"
                f"\n        ratio {np.median(ratio):.2f}× [{low:.2f}, {high:.2f}] by "
                f"{'processor' if by == 'cpu' else 'wall'} time, {len(ratio)} turns"
                f" (claim ≥ {CLAIM[kind]:g}×)"
                f"  AUC {'equal' if same else 'DIFFERENT'}  {'holds' if good else 'FAILS'}"
            )
        print(line, flush=True)


def told(turns: list[dict[str, float]]) -> str:
    cpu, wall = (np.median([one[key] for one in turns]) for key in ("cpu", "seconds"))
    return f"{cpu:6.2f} s cpu, {wall:6.2f} s wall (median)  AUC {turns[0]['auc']:.3f}"


if __name__ == "__main__":
    main()
