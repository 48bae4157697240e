"""Exposure of canaries against how often they stand in the training data.

    python bench/exposure.py [--victims 3] [--quick]

Claims: exposure rises with repetition up to its cap log2 R (arXiv:1802.08232); a canary that was
never inserted has the exposure of a random number, 1.44 bit on average for many candidates. Shown
on novels (a transformer trained from scratch; R = 1000) and on digits (mislabelled pictures with a
code in quiet cells; R = 100). Beside it the (n, p) curve (arXiv:2410.19482): the share of secrets
that n sampled continuations give with chance one half, and b of (l, b)-inextractability
(arXiv:2604.18697). Intervals are 95 %, a victim is one cluster. About 2.5 CPU minutes the first
time (nine tenths of it training, which is kept), 30 s with ``--quick``.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import numpy as np

from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.attacks.model_to_data.memorization.prefix_completion import prefix_completion
from hartley.channel.measure import measure
from hartley.core import Attack, Channel, Scene
from hartley.engine.run.play import play
from hartley.scenes.digits import digits
from hartley.scenes.novels import novels

DOSES = (0, 1, 2, 4, 8, 16, 32, 64)
NEAR = 1.0
"""Bits that an uninserted canary may be away from chance."""


def read(attack: Attack, scene: Scene, repeats: int, victims: int) -> Channel:
    """One dose, measured."""
    params = {"repeats": repeats, "rounds": victims}
    made: Channel = measure(play(attack, scene, seed=0, game_params=params))
    return made


def curve(scene: Scene, doses: tuple[int, ...], victims: int) -> list[dict[str, Any]]:
    """Print and return exposure at every dose."""
    found = []
    for dose in doses:
        usual = read(exposure, scene, dose, victims).metrics
        seen = usual["exposure"]
        line = (
            f"  ×{dose:<3} exposure {seen['value']:5.2f} [{seen['low']:5.2f}, {seen['high']:5.2f}]"
            f"  of {usual['exposure_max']:.2f}  first {usual['accuracy']['value']:.2f}"
        )
        if scene.modality == "language":
            said = read(prefix_completion, scene, dose, victims).metrics
            share = " ".join(
                f"{said[f'discoverable_n{n}']['value']:.2f}" for n in (1, 10, 100, 1000)
            )
            line += f"  (n,½) at 1, 10, 100, 1000: {share}"
            line += f"  b {said['inextractable_bits']['value']:.2f}"
            line += f" (least {said['inextractable_bits_min']['value']:.2f})"
        print(f"{line}  n={seen['n']}", flush=True)
        found.append({**seen, "cap": usual["exposure_max"], "null": usual["exposure_null"]})
    return found


def verdict(name: str, claim: str, ours: str, holds: bool) -> None:
    """Print one line of the table."""
    print(f"{name}: {claim} | ours: {ours} | {'holds' if holds else 'does not hold'}", flush=True)


def judged(name: str, doses: tuple[int, ...], found: list[dict[str, Any]]) -> None:
    """Hold a curve against the three claims."""
    none, rest = found[0], found[1:]
    away = none["value"] - none["null"]
    verdict(
        name,
        f"not inserted: within ±{NEAR:.0f} bit of {none['null']:.2f}",
        f"{none['value']:.2f} [{none['low']:.2f}, {none['high']:.2f}], n={none['n']}",
        abs(away) <= NEAR,
    )
    values = np.array([one["value"] for one in rest])
    # A fall counts only where the intervals come apart.
    falls = [b["high"] < a["low"] for a, b in pairwise(rest)]
    verdict(
        name,
        f"exposure rises from ×{doses[1]} to ×{doses[-1]}",
        f"{values[0]:.2f} → {values[-1]:.2f}",
        bool(rest[-1]["low"] > rest[0]["high"] and not any(falls)),
    )
    verdict(
        name,
        f"capped at log2 R = {none['cap']:.2f}, and reaches it",
        f"most {values.max():.2f}",
        bool(values.max() <= none["cap"] + 1e-9 and rest[-1]["high"] >= none["cap"] - 0.05),
    )


def main() -> None:
    """Run both scenes."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    ask.add_argument("--victims", type=int, default=3, help="networks at each dose")
    ask.add_argument("--quick", action="store_true", help="fewer doses, two victims")
    asked = ask.parse_args()
    doses = (0, 1, 8, 32) if asked.quick else DOSES
    victims = 2 if asked.quick else max(2, asked.victims)
    print(f"digits, {4 * victims} victims a dose")
    judged("digits", doses[:6], curve(digits(), doses[:6], 4 * victims))
    print(f"novels, 256 passages, {victims} victims a dose")
    judged("novels", doses, curve(novels(records=256), doses, victims))


if __name__ == "__main__":
    main()
