"""Membership scores beside independent implementations, on the same inputs: claim, ours, verdict.

    python -m venv sacro; python -m venv art
    sacro/bin/pip install --no-deps sacroml==2.0.1       # and what bench/lira.py names
    art/bin/pip install torch scikit-learn scipy tqdm six adversarial-robustness-toolbox==1.20.1
    python bench/parity.py --sacro sacro/bin/python --art art/bin/python

A peer that is left out is not compared. The victim and 16 reference models are trained here once
(scene digits, half a CPU-minute); both sides get the same numbers. AUCs must agree to 1e-6 where
both are deterministic functions of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.attacks.model_to_data.reference_models import confidence, references
from hartley.engine.build_scene import build
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.play import deal

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEERS = Path(__file__).parent / "peers"
MODELS = 16


def auc(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Area under the ROC curve; ties count half."""
    from scipy.stats import rankdata

    ranks, ones = rankdata(scores), int(truth.sum())
    return float((ranks[truth == 1].sum() - ones * (ones + 1) / 2) / ones / (len(truth) - ones))


def peer(python: str, script: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run a peer's script on arrays; return its scores by mode."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/given.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        env = {**os.environ, "PYTHONPATH": ""}
        done = subprocess.run(
            [python, str(PEERS / script), path], check=True, capture_output=True, text=True, env=env
        )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["mode"]: np.asarray(row["scores"]) for row in rows}


def verdict(name: str, ours: float, theirs: float, within: float) -> None:
    """Print both AUCs and whether they agree."""
    gap = abs(ours - theirs)
    word = "HOLDS" if gap <= within else "DOES NOT HOLD"
    print(f"  {name:44} ours {ours:.8f}  theirs {theirs:.8f}  |gap| {gap:.1e} ≤ {within:g}: {word}")


def main() -> None:
    """Compare with the peers that were named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sacro", help="python with SACRO-ML")
    parser.add_argument("--art", help="python with ART")
    given = parser.parse_args()
    scene = build("digits", {"opened": True})
    lira = catalog.load("attack", "lira")
    one = deal(lira, scene, seed=0, params={"rounds": 2}).rounds[0]
    asked, truth = one.view.brief.question, one.truth
    assert asked is not None and asked.y is not None

    def ours(name: str, **params: Any) -> NDArray[Any]:
        attack = catalog.load("attack", name)
        view = seal(one.view, attack.access, Meter())
        return np.asarray(attack(view, np.random.default_rng(0), **params).guess)

    if given.sacro:
        print(f"SACRO-ML's LiRA on our confidences, {MODELS} reference models, n = {len(truth)}")
        fleet = references(one.view, MODELS)
        arrays = {
            "victim": 1 / (1 + np.exp(-confidence(one.view.model, asked))),
            "shadow": 1 / (1 + np.exp(-fleet.confidence(asked))),
            "include": fleet.include,
        }
        found = peer(given.sacro, "sacro_scores.py", arrays)
        for mode, online in (("offline", False), ("online-carlini", True)):
            mine = ours("lira", references=MODELS, online=online, variance="each")
            # Offline both rank by (confidence − mean)/spread, and their spread is ours times a
            # constant. Online theirs divides by n where ours divides by n − 1: near, not equal.
            verdict(mode, auc(truth, mine), auc(truth, found[mode]), 0.01 if online else 1e-6)
    if given.art:
        print(f"ART on our victim, n = {len(truth)}")
        weights = one.view.model.weights
        assert weights is not None
        named = list(weights().values())
        arrays = dict(zip(("w0", "b0", "w1", "b1"), map(np.asarray, named), strict=True))
        flat = asked.x.reshape(len(asked), -1)
        found = peer(
            given.art, "art_scores.py", {**arrays, "x": flat, "y": asked.y, "member": truth == 1}
        )
        # ART's regression also sees the label, and so shifts whole classes: within a class its
        # ranking must be the loss's. The direction is the regression's own.
        mine, theirs = ours("loss_threshold"), found["loss, logistic regression"]
        worst = 0.0
        for label in np.unique(asked.y):
            here = asked.y == label
            a, b = auc(truth[here], mine[here]), auc(truth[here], theirs[here])
            if abs(a - b) >= worst:
                worst, pair = abs(a - b), (a, b)
        verdict("loss, the class that differs most", *pair, 1e-6)
        right = one.view.model.query(asked.x).argmax(1) == asked.y
        verdict("label gap", auc(truth, right * 1.0), auc(truth, found["label gap"]), 1e-6)


if __name__ == "__main__":
    main()
