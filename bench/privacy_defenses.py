"""What the shields of membership leave of the leak on digits, and what they cost.

    python bench/privacy_defenses.py [--victims 8] [--references 16] [--only NAME …]

Every line is one defence at its defaults, or at the setting named. Bits are those of LiRA and of a
loss threshold, per record, [certified lower bound, calibrated upper side]; the change of the AUC
is paired victim by victim, since the same coins train the same victims with and without a defence,
with Student's interval over the victims. *Static*: the attacker's references know nothing of the
defence; *adaptive*: they are made with it. Accuracy is that of the deployed model on test records.

The claim of each defence is that it closes at least half of the bits, whoever asks, at a loss of
at most three points of accuracy. *Closed* is one less the worst residual of the three attackers
over the worst leak without the defence. Verdicts: ``holds``; ``costs`` (closed, at more accuracy);
``in part`` (LiRA falls for one who knows as well, yet less than half is closed); ``static only``;
``nothing`` (LiRA does not fall); ``opens`` (it rises for one who knows).
For DP-SGD the claim is the accountant's: the ε that the attack certifies is at most ε.

About 110 s of processor time (SELENA and MID 11 to 15 s a line, DP-SGD 3 to 6 s).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from hartley.attacks.model_to_data.membership.lira import lira
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.channel.measure import measure
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.scenes._assemble_vision import accuracy
from hartley.scenes.digits import digits

POINTS, HALF = 0.03, 0.5
"""Accuracy that a defence may cost, and the share of the bits that it has to close."""

PLANS = (
    ("memguard", {}),
    ("top_k", {}),
    ("top_k", {"k": 1, "rest": "drop"}),
    ("hamp", {}),
    ("hamp", {"output": False}),
    ("selena", {}),
    ("relax_loss", {}),
    ("label_smoothing", {}),
    ("label_smoothing", {"amount": 0.1}),
    ("label_smoothing", {"amount": 0.3}),
    ("mid", {}),
    ("mid", {"beta": 0.1}),
    ("bido", {}),
    ("bido", {"apart": 50.0, "together": 20.0}),
)

EPSILONS = (1.0, 4.0, 8.0)


class Bench:
    """Plays the same victims' coins against every defence."""

    def __init__(self, victims: int, references: int) -> None:
        self.victims, self.references = victims, references
        self.scene = digits()
        self.before = {a.name: self.heard(self.scene, a) for a in (lira, loss_threshold)}
        self.accuracy = accuracy(self.scene.model, self.scene.extra["test"])

    def heard(self, scene, attack, undefended=None):
        """(channel, AUC of every victim)."""
        dealt = deal(attack, scene, seed=0, params={"rounds": self.victims})
        params = {"references": self.references} if attack is lira else {}
        trials = play(attack, scene, seed=0, params=params, dealt=dealt, undefended=undefended)
        return measure(trials), aucs(trials)

    def behind(self, name: str, params: dict):
        """Accuracy and what is heard behind a defence, by (attack, knows)."""
        scene = defended(self.scene, name, params, 0)
        got = {("lira", "static"): self.heard(scene, lira, self.scene)}
        got["lira", "adaptive"] = self.heard(scene, lira)
        got["loss_threshold", "static"] = self.heard(scene, loss_threshold, self.scene)
        return accuracy(scene.model, scene.extra["test"]), got

    def change(self, attack: str, now) -> tuple[float, float, float]:
        """Mean change of the AUC and its interval, victim by victim."""
        gaps = now - self.before[attack][1]
        half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
        return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)


def aucs(trials) -> np.ndarray:
    """Area under the ROC of every victim."""
    found = []
    for k in np.unique(trials.cluster):
        here = trials.cluster == k
        ranks = stats.rankdata(trials.guess[here])
        member = trials.truth[here] == 1
        n1, n0 = member.sum(), (~member).sum()
        found.append((ranks[member].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
    return np.array(found)


def told(channel) -> str:
    high = "   –" if channel.high is None else f"{channel.high:.3f}"
    return f"{channel.bits.value:.4f} [{channel.bits.lower:.3f}, {high}]"


def moved(change: tuple[float, float, float]) -> str:
    return f"{change[0]:+.3f} [{change[1]:+.3f}, {change[2]:+.3f}]"


def verdict(lost: float, closed: float, static, adaptive) -> str:
    """What a line says; changes are (mean, low, high) of LiRA's AUC."""
    if adaptive[1] > 0:
        return "opens: does not hold"
    if adaptive[2] >= 0:
        return "static only: does not hold" if static[2] < 0 else "nothing: does not hold"
    if closed < HALF:
        return "in part: does not hold"
    return "holds" if lost <= POINTS else "costs: does not hold"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--victims", type=int, default=8)
    ask.add_argument("--references", type=int, default=16)
    ask.add_argument("--only", nargs="*", help="names of defences")
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HARTLEY_CACHE"] = folder
        bench = Bench(args.victims, args.references)
        bare = {name: channel for name, (channel, _) in bench.before.items()}
        print(
            f"digits, {args.victims} victims of {len(bench.scene.train)} records, "
            f"{args.references} references; bits a record [certified, upper], n = "
            f"{bare['lira'].n}; accuracy {bench.accuracy:.3f}"
        )
        for name, (channel, each) in bench.before.items():
            print(f"  undefended {name:15s} {told(channel)} bit, AUC {each.mean():.3f}")
        print("  claim of every line: half of the bits closed, whoever asks, at ≤ 3 points")
        for name, params in PLANS:
            if args.only and name not in args.only:
                continue
            line(bench, name, params)
        if not args.only or "dp_sgd" in args.only:
            print("  claim of every line: the certified ε is at most the accountant's (δ = 1e-5)")
            for epsilon in EPSILONS:
                private(bench, epsilon)


def line(bench: Bench, name: str, params: dict) -> None:
    started = time.process_time()
    good, got = bench.behind(name, params)
    static, adaptive = (bench.change("lira", got["lira", k][1]) for k in ("static", "adaptive"))
    loss = bench.change("loss_threshold", got["loss_threshold", "static"][1])
    worst = max(channel.bits.value for channel, _ in got.values())
    closed = 1 - worst / max(channel.bits.value for channel, _ in bench.before.values())
    settings = ", ".join(f"{k}={v}" for k, v in params.items())
    print(
        f"\n{name}({settings})  accuracy {bench.accuracy:.3f} → {good:.3f}, closed {closed:.0%}"
        f"   {verdict(bench.accuracy - good, closed, static, adaptive)}"
        f"   ({time.process_time() - started:.0f} s)"
    )
    for title, key, change in (
        ("LiRA static", ("lira", "static"), static),
        ("LiRA adaptive", ("lira", "adaptive"), adaptive),
        ("loss threshold", ("loss_threshold", "static"), loss),
    ):
        channel, each = got[key]
        print(
            f"  {title:15s} {told(channel)} bit, AUC {each.mean():.3f}, {moved(change)}", flush=True
        )


def private(bench: Bench, epsilon: float) -> None:
    started = time.process_time()
    good, got = bench.behind("dp_sgd", {"epsilon": epsilon})
    found = {}
    for (attack, knows), (channel, each) in got.items():
        found[f"{attack} {knows}"] = float(channel.metrics["epsilon_lower"])
        print(
            f"  ε = {epsilon:g} {attack:14s} {knows:8s} {told(channel)} bit of at most "
            f"{channel.ceiling.value:.3f}, AUC {each.mean():.3f}, "
            f"ε̂ {found[f'{attack} {knows}']:.3f}"
        )
    sound = max(found.values()) <= epsilon
    print(
        f"  ε = {epsilon:g}: accuracy {bench.accuracy:.3f} → {good:.3f}; largest certified ε "
        f"{max(found.values()):.3f}: {'holds' if sound else 'DOES NOT HOLD'}"
        f"   ({time.process_time() - started:.0f} s)",
        flush=True,
    )


if __name__ == "__main__":
    main()
