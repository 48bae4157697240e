"""R12: what MID, BiDO and label smoothing take from class inversion, and what they cost.

    python bench/inversion_defenses.py                       # digits, 16 victims a row
    python bench/inversion_defenses.py --scene fashion --rounds 8

Claim (MIBench, arXiv:2009.05241, arXiv:2206.05483, arXiv:2310.06549): a defended classifier gives
class inversion a lower acc@1, and loses accuracy. Each row: acc@1 by an evaluator that shares no
weights with any victim, certified bits of the identification, the deployed model's test accuracy.
The verdict compares acc@1 with the undefended victims' (95 % interval of the difference); so does
the next line with the likeness, the correlation of what was rebuilt with the class's mean, which
tells more where acc@1 is at its ceiling. About 2 CPU minutes on digits.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.engine import build_scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play

ATTACKS = ("class_gradient_descent", "generative_inversion")
ROWS = (
    ("none", {}),
    ("mid", {"beta": 0.04}),
    ("mid", {"beta": 0.4}),
    ("bido", {}),
    ("bido", {"apart": 50.0, "together": 20.0}),
    ("label_smoothing", {"amount": 0.1}),
    ("label_smoothing", {"amount": -0.05}),
)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    rate, wide = right / n, z * z / n
    middle = (rate + wide / 2) / (1 + wide)
    reach = z * (rate * (1 - rate) / n + wide / n / 4) ** 0.5 / (1 + wide)
    return middle - reach, middle + reach


def newcombe(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float, float]:
    """a's rate less b's, with Newcombe's 95 % interval from the two Wilson intervals."""
    (p, q), (la, ha), (lb, hb) = (a[0] / a[1], b[0] / b[1]), wilson(*a), wilson(*b)
    down = ((p - la) ** 2 + (hb - q) ** 2) ** 0.5
    up = ((ha - p) ** 2 + (q - lb) ** 2) ** 0.5
    return p - q, p - q - down, p - q + up


def paired(gaps: np.ndarray) -> tuple[float, float]:
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5)
    return float(gaps.mean()) - reach, float(gaps.mean()) + reach


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", default="digits", choices=("digits", "fashion"))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    scene = build_scene.build(args.scene, {"opened": True})
    before: dict[str, tuple[int, int]] = {}
    likeness: dict[str, np.ndarray] = {}
    clean = float(scene.utility(scene)["accuracy"])
    for name, params in ROWS:
        held = scene if name == "none" else defended(scene, name, params, args.seed)
        kept = clean if name == "none" else float(held.utility(held)["accuracy"])
        words = ", ".join(f"{k}={v:g}" for k, v in params.items())
        print(f"{name}({words}): test accuracy {kept:.3f} (lost {clean - kept:+.3f})")
        for attack in ATTACKS:
            trials = play(
                catalog.load("attack", attack),
                held,
                seed=args.seed,
                game_params={"rounds": args.rounds},
            )
            hits = np.array(trials.metrics_by_round["evaluator_top1"])
            bits = measure(trials)
            right, n = int(hits.sum()), len(hits)
            before.setdefault(attack, (right, n))
            gap, low, high = newcombe(before[attack], (right, n))
            said = f"  {attack:>21}: acc@1 {right}/{n}, bits {bits.bits.value:.2f} "
            said += f"[{bits.bits.lower:.2f}, {bits.high:.2f}]"
            if name != "none":
                verdict = "holds" if low > 0 else "does not hold (no fall outside the interval)"
                said += f", fall {gap:+.2f} [{low:+.2f}, {high:+.2f}]   verdict: {verdict}"
            print(said)
            alike = np.array(trials.metrics_by_round["likeness"])
            likeness.setdefault(attack, alike)
            said = f"{'':>23} likeness {alike.mean():.3f}"
            if name != "none":
                # The same permutations are asked of both: the fall is read victim by victim.
                low, high = paired(likeness[attack] - alike)
                said += f", fall {(likeness[attack] - alike).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
                said += f"   verdict: {'holds' if low > 0 else 'does not hold'}"
            print(said, flush=True)


if __name__ == "__main__":
    main()
