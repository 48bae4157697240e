"""What shields leave of planted secrets on real scenes, and of the classes of digits.

    python bench/recall_defenses.py [--victims 8] [--only digits income …] [--shields]

Claim of every line: the shield takes at least half of the exposure that lies above chance, whoever
asks (arXiv:2107.06499 for deduplication, arXiv:1802.08232 for DP-SGD). The same secrets are planted
in the same victims with and without it, so the change is paired victim by victim, with Student's
95 % interval over victims. *static* attackers do not know of the shield, *adaptive* ones do; as
exposure trains no references, both ask the same questions, and both are played. Bits are [certified
lower bound, calibrated upper side]. Canaries stand ``--repeats`` times (8). Scenes whose packs are
absent are left out. ``--shields`` adds on digits the training-time and the output shields.

Verdicts: ``holds``; ``in part`` (exposure falls outside the interval, less than half is taken);
``nothing``; ``opens`` (it rises outside the interval). About 40 s of
processor time without keywords, 60 s more with ``--shields``; training is kept. The first run on
keywords takes minutes: DP-SGD trains its convolutions one model at a time.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.channel.measure import measure
from hartley.core.errors import HartleyError
from hartley.engine import build_scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play

SCENES = ("digits", "income", "keywords", "wordnet", "captions")
PLANS = (("deduplication", {}), ("dp_sgd", {}), ("dp_sgd", {"epsilon": 1.0}))
SHIELDS = (
    *(("hamp", {}), ("hamp", {"output": False}), ("memguard", {}), ("selena", {})),
    *(("label_smoothing", {}), ("relax_loss", {}), ("mid", {}), ("bido", {})),
    *(("rounding", {}), ("rounding", {"digits": 0}), ("label_only", {}), ("top_k", {})),
    *(("score_noise", {}), ("score_noise", {"scale": 1.0})),
    *(("query_budget", {}), ("query_budget", {"queries": 1000})),
)


class Bench:
    """Plays the same secrets against every shield of a scene."""

    def __init__(self, name: str, victims: int, repeats: int) -> None:
        self.scene = build_scene.build(name, {})
        self.params = {"rounds": victims, "repeats": repeats}
        self.channel, self.before = self.heard(self.scene)
        self.chance = float(self.channel.metrics["exposure_null"])
        self.metric, self.clean = self.useful(self.scene)

    def heard(self, scene, undefended=None):
        """(channel, mean exposure of every victim)."""
        trials = play(exposure, scene, seed=0, game_params=self.params, undefended=undefended)
        told = np.log2(trials.spec.alphabet) - np.log2(trials.guess)
        each = np.array([told[trials.cluster == k].mean() for k in np.unique(trials.cluster)])
        return measure(trials), each

    def useful(self, scene) -> tuple[str, float]:
        """The first utility of a scene."""
        return next(iter((name, float(value)) for name, value in scene.utility(scene).items()))

    def line(self, name: str, params: dict) -> None:
        started = time.process_time()
        shielded = defended(self.scene, name, params, 0)
        words = ", ".join(f"{k}={v}" for k, v in params.items())
        print(f"  {name}({words})  {self.metric} {self.clean:.3f} → {self.useful(shielded)[1]:.3f}")
        for knows, undefended in (("static", self.scene), ("adaptive", None)):
            channel, each = self.heard(shielded, undefended)
            mean, low, high = changed(each - self.before)
            above = max(float(self.before.mean()) - self.chance, 1e-9)
            said = verdict(-mean / above, low, high)
            print(
                f"    {knows:8s} {told(channel, each)}, change {mean:+.2f} "
                f"[{low:+.2f}, {high:+.2f}]: {said}",
                flush=True,
            )
        print(f"    ({time.process_time() - started:.0f} s)")


def changed(gaps: np.ndarray) -> tuple[float, float, float]:
    """Mean change and its interval, victim by victim."""
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)


def told(channel, each: np.ndarray) -> str:
    high = "–" if channel.high is None else f"{channel.high:.2f}"
    return (
        f"exposure {each.mean():.2f}, {channel.bits.value:.2f} "
        f"[{channel.bits.lower or 0.0:.2f}, {high}] bit"
    )


def verdict(taken: float, low: float, high: float) -> str:
    """What a line says; ``taken`` is the share of the exposure above chance."""
    if low > 0:
        return "opens: does not hold"
    if high >= 0:
        return "nothing: does not hold"
    return "holds" if taken >= 0.5 else f"in part ({taken:.0%}): does not hold"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--victims", type=int, default=8)
    ask.add_argument("--repeats", type=int, default=8)
    ask.add_argument("--only", nargs="*", default=SCENES, help="scenes")
    ask.add_argument("--shields", action="store_true", help="on digits, the other shields too")
    args = ask.parse_args()
    for name in args.only:
        try:
            bench = Bench(name, args.victims, args.repeats)
        except HartleyError as error:
            print(f"{name}: left out ({error})")
            continue
        print(
            f"{name}, {args.victims} victims, canaries ×{args.repeats}, n = {bench.channel.n}: "
            f"undefended {told(bench.channel, bench.before)} "
            f"(chance {bench.chance:.2f}, most {bench.channel.metrics['exposure_max']:.2f})"
        )
        for shield, params in (*PLANS, *(SHIELDS if args.shields and name == "digits" else ())):
            try:
                bench.line(shield, params)
            except HartleyError as error:
                print(f"  {shield}: not played ({error})", flush=True)


if __name__ == "__main__":
    main()
