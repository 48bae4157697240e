"""Rounds of a gradient attack that are searched together: the same records, in less time?

    python bench/gradient_rounds.py [--scene digits] [--rounds 24] [--turns 3]

Each attack that plays the rounds of a deal at once (``together``) is played so and one by one, in
turns on one deal. The same records must be identified, and those that it brings home may differ by
1e-5 of the range 0…1 at most; the ratio is that of the best processor times of both, with the
smallest and the largest ratio of the turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.engine import build_scene
from hartley.engine.run.play import deal, play_rounds
from hartley.engine.run.threads import one_thread

ATTACKS = ("cosine_gradient", "dlg")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scene", default="digits")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    one_thread()
    scene, alike = build_scene.build(asked.scene), True
    rules = {"rounds": asked.rounds}
    for name in ATTACKS:
        part = catalog.load("attack", name)
        params = {parameter.name: parameter.default for parameter in part.parameters}
        table = deal(part, scene, seed=1, params=rules)
        ways = {"one by one": replace(part, together=""), "together": part}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        loot, guesses = {}, {}
        for _ in range(asked.turns):
            for way, attack in ways.items():
                began = time.process_time()
                played = play_rounds(attack, scene, params, rules, seed=1, dealt=table)
                seconds[way].append(time.process_time() - began)
                loot[way] = [asset.x for asset in played.loot]
                guesses[way] = played.trials.guess
        gap = max(float(np.abs(a - b).max()) for a, b in zip(*loot.values(), strict=True))
        same = gap < 1e-5 and np.array_equal(*guesses.values())
        alike &= same
        slow, fast = seconds.values()
        ratios = [a / b for a, b in zip(slow, fast, strict=True)]
        print(
            f"{name:16} on {asked.scene}, {asked.rounds} rounds: {min(slow):.2f} s one by one, "
            f"{min(fast):.2f} s together, ratio {min(slow) / min(fast):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f} in {asked.turns} turns); records differ by "
            f"{gap:.1g}, {'the same are identified' if same else 'OTHERS ARE IDENTIFIED'}",
            flush=True,
        )
    sys.exit(not alike)


if __name__ == "__main__":
    main()
