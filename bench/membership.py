"""Published orderings of membership inference, at the size of two cores: claim, ours, verdict.

    python bench/membership.py                   # all, about 12 CPU-minutes cold
    python bench/membership.py --only R3         # one of R1, R3, R4, R5, cost

R1  LiRA far above a global threshold at low FPR, and one variance for all records better than one
    a record when there are 16 shadow models (TF Privacy mi_lira: 5.93 % against 0.09 % at 0.1 %).
R3  RMIA at least LiRA offline with four reference models or fewer (2312.03262 claims AUC 71.02;
    64.67 was reproduced, which is below offline LiRA's).
R4  One-run audit: the empirical ε of mislabelled canaries above that of natural records, falling
    under DP-SGD, and never above the accountant's (Privacy Meter: 5.48 → 0.418).
R5  Accuracy falls as ε does (Opacus on MNIST: 98.94, 97.09, 96.78, 94.63 % at ∞, 6.86, 2.91, 1.16).
cost  The whole class costs at most 1.3 × LiRA alone, because attacks of one deal share victims'
    answers and reference models. CPU seconds of cold runs that alternate, workers included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Channel, Scene
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play

ALPHA = 0.05

TURNS = 4
"""Of each side, where times are compared: the least of them is the figure."""


def heard(
    scene: Scene,
    attack: str,
    params: Mapping[str, Any] | None = None,
    game: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Channel:
    """Play one attack on a scene and measure it."""
    part = catalog.load("attack", attack)
    table = deal(part, scene, seed=seed, params=game)
    return measure(play(part, scene, seed=seed, params=params, game_params=game, dealt=table))


def shown(figure: Mapping[str, Any], scale: float = 1.0) -> str:
    """A figure with its interval and n."""
    low, high = figure["low"] * scale, figure["high"] * scale
    return f"{figure['value'] * scale:.3f} [{low:.3f}, {high:.3f}] n={figure['n']}"


def verdict(holds: bool, *, claim: str) -> None:
    """Print whether a claim holds."""
    print(f"  {'HOLDS' if holds else 'DOES NOT HOLD'}: {claim}\n")


def lira_at_low_fpr(scene_name: str) -> None:
    """R1."""
    scene = build(scene_name)
    print(f"R1  LiRA with 16 shadow models against a global threshold, on {scene_name}, 16 victims")
    rows = {
        "loss threshold": heard(scene, "loss_threshold"),
        "LiRA, one variance": heard(scene, "lira", {"references": 16, "variance": "one"}),
        "LiRA, variance a record": heard(scene, "lira", {"references": 16, "variance": "each"}),
    }
    for name, one in rows.items():
        print(f"  {name:24} AUC {shown(one.metrics['auc'])}")
        for level in ("1e2", "1e3"):
            print(
                f"  {'':24} TPR at FPR {level}: {shown(one.metrics[f'tpr_at_fpr_{level}'], 100)} %"
            )
    loss, lira, own = rows.values()
    best = 0.0
    for level in ("tpr_at_fpr_1e2", "tpr_at_fpr_1e3"):
        one, other = lira.metrics[level], loss.metrics[level]
        ratio = one["value"] / max(other["value"], 1e-4)
        least = one["low"] / max(other["high"], 1e-4)
        best = max(best, least)
        print(f"  ratio at {level}: {ratio:.1f}, at least {least:.1f}")
    verdict(best >= 5, claim="LiRA is at least 5 times the threshold's TPR at an FPR of 0.1 to 1 %")
    fixed, each = lira.metrics["tpr_at_fpr_1e3"]["value"], own.metrics["tpr_at_fpr_1e3"]["value"]
    verdict(fixed > each, claim="one variance beats one a record with 16 shadow models")


def rmia_with_few(scene_name: str) -> None:
    """R3."""
    scene = build(scene_name)
    print(f"R3  offline, few reference models, on {scene_name}: AUC")
    holds = []
    for count in (2, 4, 16):
        offline = {"references": count, "online": False}
        lira = heard(scene, "lira", offline).metrics["auc"]
        rmia = heard(scene, "rmia", offline).metrics["auc"]
        print(f"  {count:2} models ({count // 2} without each record): ", end="")
        print(f"LiRA {shown(lira)}   RMIA {shown(rmia)}")
        if count <= 4:
            holds.append(rmia["value"] >= lira["value"])
    verdict(all(holds), claim="RMIA offline ≥ LiRA offline with at most 4 reference models")


def audit_in_one_run(runs: int) -> None:
    """R4."""
    scene = build("digits")
    print(
        f"R4  one-run audit on digits, {runs} runs each: certified ε̂ (δ = 1e-5), mean and largest"
    )
    found: dict[tuple[str, float], list[float]] = {}
    for epsilon in (0.0, 8.0, 4.0, 1.0):
        guarded = defended(scene, "dp_sgd", {"epsilon": epsilon}, 0) if epsilon else scene
        for kind, share in (("natural", 0.0), ("mislabelled", 1.0)):
            ours = [
                heard(
                    guarded, "loss_threshold", game={"rounds": 1, "mislabelled": share}, seed=seed
                ).metrics["epsilon_lower"]
                for seed in range(runs)
            ]
            found[kind, epsilon] = ours
            at = f"DP-SGD ε = {epsilon:g}" if epsilon else "no defence"
            print(f"  {at:14} {kind:12} {np.mean(ours):.3f}, {max(ours):.3f}")
    kept = all(max(v) <= e for (_, e), v in found.items() if e)
    verdict(kept, claim="ε̂ ≤ ε in every run with DP-SGD")
    verdict(
        float(np.mean(found["mislabelled", 0.0])) > float(np.mean(found["natural", 0.0])),
        claim="mislabelled canaries show a larger ε̂ than natural records",
    )
    private = float(np.mean(found["mislabelled", 1.0]))
    verdict(
        private < float(np.mean(found["mislabelled", 0.0])) / 5,
        claim="ε̂ falls by more than a factor of five under DP-SGD at ε = 1",
    )


def utility_of_privacy(victims: int) -> None:
    """R5."""
    from scipy.stats import t

    scene = build("digits")
    print(f"R5  accuracy on digits' test records, {victims} victims each: mean [95 % t-interval]")
    pool, test = scene.extra["pool"], scene.extra["test"]
    include = np.random.default_rng(0).random((victims, len(pool))) < 0.5
    means = []
    for epsilon in (0.0, 8.0, 4.0, 2.0, 1.0, 0.5):
        guarded = defended(scene, "dp_sgd", {"epsilon": epsilon}, 0) if epsilon else scene
        assert guarded.fit is not None
        answers = guarded.fit(pool, include, 7).query(test.x)
        each = (answers.argmax(-1) == test.y).mean(1)
        reach = t.ppf(1 - ALPHA / 2, victims - 1) * each.std(ddof=1) / np.sqrt(victims)
        at = f"ε = {epsilon:g}" if epsilon else "ε = ∞"
        print(f"  {at:8} {each.mean() * 100:.2f} % [±{reach * 100:.2f}] n={victims}")
        means.append(float(each.mean()))
    verdict(means == sorted(means, reverse=True), claim="accuracy falls as ε falls")


def cost_of_the_class(scene: str) -> None:
    """What all membership attacks cost beside LiRA alone: the least of turns that alternate."""
    print(f"cost  CPU seconds of `hartley assess` on {scene}, cold, membership alone")
    plays = {"LiRA alone": ["lira"], "the whole class": ["membership"]}
    spent: dict[str, list[float]] = {name: [] for name in plays}
    for _ in range(TURNS):
        for name, only in plays.items():
            spent[name].append(cold(scene, only))
    for name, turns in spent.items():
        print(f"  {name:16} {min(turns):.1f} s (turns {', '.join(f'{s:.1f}' for s in turns)})")
    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"  memory           at most {held:.2f} GiB")
    ratio = min(spent["the whole class"]) / min(spent["LiRA alone"])
    verdict(ratio <= 1.3, claim=f"the class costs at most 1.3 × LiRA alone (ours: {ratio:.2f})")


def cold(scene: str, only: list[str]) -> float:
    """CPU seconds of one run with an empty cache, worker processes included."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.toml"
        plan.write_text(f'scene = "{scene}"\nonly = {only!r}\n[executor]\nworkers = 0\n')
        words = ["-m", "hartley.cli.main", "assess", str(plan), "--store", f"{folder}/runs"]
        env = {**os.environ, "HARTLEY_CACHE": f"{folder}/cache"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, *words], check=False, env=env, capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"hartley assess failed: {done.stderr[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=["R1", "R3", "R4", "R5", "cost"])
    parser.add_argument("--scene", default="digits", help="of R1, R3 and cost")
    parser.add_argument("--runs", type=int, default=8, help="one-run audits of R4 each")
    given = parser.parse_args()
    parts = {
        "R1": lambda: lira_at_low_fpr(given.scene),
        "R3": lambda: rmia_with_few(given.scene),
        "R4": lambda: audit_in_one_run(given.runs),
        "R5": lambda: utility_of_privacy(given.runs),
        "cost": lambda: cost_of_the_class(given.scene),
    }
    for name, part in parts.items():
        if given.only in {None, name}:
            part()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
