"""R9: gradient inversion is near-exact for one record of an untrained net, and what spoils it.

    python bench/gradient_inversion.py                  # digits, its dense net and a small LeNet
    python bench/gradient_inversion.py --scene fashion  # Fashion-MNIST's convolutional net
    python bench/gradient_inversion.py --only defended  # behind training-time defences alone

Claims (arXiv:2003.14053 and its successors): PSNR falls with the size of the batch (1, 2, 4, 8),
with the training of the net before the step, and with noise on the gradient; the analytic attack
on a first dense layer is exact. Rows: mean PSNR in dB [95 % t interval over clients, n clients].
A ladder holds when its ends differ with the interval of the difference above 0 and no step rises
with an interval above 0. The ladder of training has four times as many clients.

Behind a training-time defence clients take its step; a static attacker takes it for a plain one,
an adaptive one takes the same step on his guess. Claim (arXiv:2111.04706): a defence that an
unknowing attacker is stopped by falls to one who knows, unless it is noise on the gradient itself.
A row holds when the best adaptive of the two attacks that match gradients does not identify fewer
records than on an undefended net (Fisher's exact test, 5 %), and for DP-SGD when no attack at all
exceeds what guessing reaches in 99 of 100 tables. The analytic attack needs no knowledge.

CPU time, one thread, on a busy machine: digits dense 3 minutes, convolutional 5, defended 2½.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from itertools import pairwise

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.engine import build_scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.inversion.gradient_inversion import FederatedStep
from hartley.games.inversion.update_protection import Protection
from hartley.kit.nets import conv

BATCHES, STAGES, NOISES = (1, 2, 4, 8), (0, 3, 30), (0.0, 1e-3, 1e-2, 1e-1)

MATCHING = ("dlg", "cosine_gradient")
ATTACKS = ("analytic_gradient", *MATCHING)

SHIELDS = (
    ("label_smoothing", {}, 0),
    ("label_smoothing", {"amount": 1.0}, 0),
    ("mid", {}, 0),
    ("mid", {"beta": 10.0}, 0),
    ("bido", {}, 0),
    ("bido", {"apart": 1e4, "together": 0.0}, 0),
    ("hamp", {}, 0),
    ("relax_loss", {}, 0),
    ("relax_loss", {}, 30),
    ("dp_sgd", {"epsilon": 8.0}, 0),
)
"""Defence, its parameters, and epochs that the net was trained for before the step."""


def psnr(scene, release: FederatedStep, attack: str, rounds: int, **params) -> np.ndarray:
    held = scene.with_part(release)
    part = catalog.load("attack", attack)
    trials = play(part, held, seed=1, params=params, game_params={"rounds": rounds})
    return np.array(trials.metrics_by_round["psnr"])


def interval(x: np.ndarray) -> tuple[float, float]:
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5) if len(x) > 1 else 0.0
    return float(x.mean()) - reach, float(x.mean()) + reach


def fall(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """95 % Welch interval of how much lower b's mean is than a's."""
    from scipy.stats import t

    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    if va + vb == 0:
        return float(a.mean() - b.mean()), float(a.mean() - b.mean())
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    reach = float(t.ppf(0.975, df) * (va + vb) ** 0.5)
    return float(a.mean() - b.mean()) - reach, float(a.mean() - b.mean()) + reach


def ladder(title: str, cells: dict[str, np.ndarray]) -> bool:
    print(f"\n{title}")
    for name, values in cells.items():
        low, high = interval(values)
        print(f"  {name:>12}  {values.mean():6.2f} dB [{low:6.2f}, {high:6.2f}]  n = {len(values)}")
    rows = list(cells.values())
    steps = [fall(a, b) for a, b in pairwise(rows)]
    ends = fall(rows[0], rows[-1])
    holds = ends[0] > 0 and all(high >= 0 for _, high in steps)
    print(
        f"  claim: it falls   ours: by {rows[0].mean() - rows[-1].mean():.2f} dB "
        f"[{ends[0]:.2f}, {ends[1]:.2f}]   verdict: {'holds' if holds else 'does not hold'}"
    )
    return holds


def study(scene, base: FederatedStep, rounds: int, what: str) -> None:
    common = {"enough": 0.0, "steps": 300}
    one = replace(base, batches=(1,))
    print(f"\n=== {what} ===")
    first = psnr(scene, one, "cosine_gradient", rounds, **common)
    low, high = interval(first)
    verdict = "holds" if low > 30 else "does not hold"
    print(
        f"claim: one record of an untrained net comes back near-exactly (> 30 dB)   "
        f"ours: {first.mean():.2f} dB [{low:.2f}, {high:.2f}], n = {rounds}   verdict: {verdict}"
    )
    sizes = {
        f"batch {b}": psnr(scene, replace(base, batches=(b,)), "cosine_gradient", rounds, **common)
        for b in BATCHES
    }
    ladder("PSNR by size of the batch (untrained)", sizes)
    stages = {
        f"{e} epochs": psnr(scene, replace(one, epochs=e), "cosine_gradient", 4 * rounds, **common)
        for e in STAGES
    }
    ladder("PSNR by training before the step (batch 1)", stages)
    noises = {
        f"noise {s:g}": psnr(
            scene,
            replace(one, protection=Protection(clip=1.0, noise=s)),
            "cosine_gradient", rounds, **common,
        )
        for s in NOISES
    }  # fmt: skip
    ladder("PSNR by noise on the gradient, in units of its clipped norm (batch 1)", noises)


def exact(scene, base: FederatedStep, rounds: int) -> None:
    """How far the analytic attack is off, at worst, on a first dense layer."""
    print("\n=== analytic, first dense layer ===")
    for b in BATCHES:
        held = scene.with_part(replace(base, batches=(b,)))
        values = psnr(held, replace(base, batches=(b,)), "analytic_gradient", rounds)
        # 100 dB is the cap of our PSNR: a mean square error of 1e-10, 1e-5 a pixel.
        share = float((values >= 80).mean())
        print(
            f"  batch {b}: clients whose whole batch is exact to 1e-4 (PSNR ≥ 80 dB): "
            f"{share:.2f} (n = {rounds})"
        )
    one = psnr(scene, replace(base, batches=(1,)), "analytic_gradient", rounds)
    print(
        f"  claim: exact to 1e-4 for one record   ours: least PSNR {one.min():.1f} dB   "
        f"verdict: {'holds' if one.min() >= 80 else 'does not hold'}"
    )


def cell(
    scene, release: FederatedStep, attack: str, undefended, rounds: int
) -> tuple[int, int, float]:
    """(records identified, records, mean PSNR) of one attack on clients of a scene."""
    held = scene.with_part(release)
    trials = play(
        catalog.load("attack", attack),
        held,
        seed=1,
        game_params={"rounds": rounds},
        undefended=undefended,
    )
    return int((trials.guess == trials.truth).sum()), len(trials.truth), trials.metrics["psnr"]


def chance(n: int, candidates: int) -> int:
    """Most of n records that guessing identifies, in 99 of 100 tables of six cells."""
    from scipy.stats import binom

    return int(binom.ppf(1 - 0.01 / 6, n, 1 / candidates))


def behind(scene, base: FederatedStep, rounds: int, what: str) -> None:
    """Static and adaptive attacks on the steps of training-time defences."""
    from scipy.stats import fisher_exact

    print(f"\n=== behind training-time defences: {what}, batch 4 ===")
    print("  identified (mean PSNR in dB)       " + "".join(f"{a:>38}" for a in ATTACKS))
    print(f"{'':36}" + f"{'static':>19}{'adaptive':>19}" * len(ATTACKS))
    four = replace(base, batches=(4,))
    free: dict[int, int] = {}
    for name, params, epochs in (("", {}, 0), ("", {}, 30), *SHIELDS):
        here = defended(scene, name, params, 0) if name else scene
        release = replace(four, epochs=epochs)
        best, most, n, shown = {"static": 0, "adaptive": 0}, 0, 0, ""
        for attack in ATTACKS:
            for knows in best if name else ("static",):
                bare = scene if name and knows == "static" else None
                hits, n, decibel = cell(here, release, attack, bare, rounds)
                most = max(most, hits)
                best[knows] = max(best[knows], hits if attack in MATCHING else 0)
                shown += f"{f'{hits}/{n} ({decibel:.1f})':>{19 if name else 38}}"
        if not name:
            free[epochs] = best["static"]
        settings = ", ".join(f"{k}={v:g}" for k, v in params.items())
        title = f"{name or 'nothing'}({settings}) after {epochs} epochs"
        print(f"  {title:34}{shown}", flush=True)
        if name == "dp_sgd":
            verdict(most <= chance(n, 32), f"≤ {chance(n, 32)} of {n}, by any attack", f"{most}")
        elif name:
            table = [[best["adaptive"], n - best["adaptive"]], [free[epochs], n - free[epochs]]]
            verdict(
                fisher_exact(table, alternative="less").pvalue > 0.05,
                f"no fewer than {free[epochs]} of {n}, by who knows",
                f"{best['adaptive']} (static {best['static']})",
            )


def verdict(holds: bool, claim: str, ours: str) -> None:
    print(f"      claim: {claim}   ours: {ours}   verdict: {'holds' if holds else 'does not hold'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", default="digits", choices=("digits", "fashion"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", default="", choices=("", "dense", "conv", "defended"))
    args = parser.parse_args()
    scene, only = build_scene.build(args.scene, {}), args.only
    small = args.scene == "digits"
    if small and only in {"", "dense"}:
        exact(scene, FederatedStep(), 2 * args.rounds)
        study(scene, FederatedStep(), args.rounds, "digits, dense 64-128-10")
    if only in {"", "conv"}:
        lenet = conv((1, 8, 8), 10, channels=(16, 32), hidden=(64,)) if small else None
        what = f"{'digits' if small else 'Fashion-MNIST'}, convolutional 16-32-64"
        study(scene, FederatedStep(net=lenet), args.rounds, what)
    if only in {"", "defended"}:
        behind(scene, FederatedStep(), args.rounds // 2, args.scene)
    print(f"\n{time.process_time():.0f} s of CPU time")


if __name__ == "__main__":
    main()
