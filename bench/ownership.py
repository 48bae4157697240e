"""Ownership marks: copies that are claimed, models of other people that are, and thieves who wash.

    python bench/ownership.py [--scene owned_digits] [--marks dawn entangled radioactive]
                              [--rounds 48] [--innocents 4]

Each row is one way of a thief with models that are marked under fresh keys. Bits are those of the
owner's verdict that the thief destroyed, with the certified lower end and the calibrated upper one.
Claims under the right key are of the rounds where the coin says so, and false claims of models of
people who copied nothing, with Clopper and Pearson's intervals of 95 %. Such a p-value of at most
0.05 should come once in 20 models or less: the test of the test.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.engine.build_scene import build
from hartley.engine.run.play import deal, play
from hartley.infotheory.binary_channel import clopper_pearson

WAYS = {
    "copied": ("marked_copy", {}),
    "copied with noise": ("marked_copy", {"blur": 0.3}),
    "tuned": ("washed_copy", {"doubt": False, "prune": 0.0}),
    "pruned": ("washed_copy", {"doubt": False, "tuning": 0, "prune": 0.8}),
    "doubted": ("washed_copy", {"prune": 0.0, "tuning": 0}),
    "doubted, pruned and tuned": ("washed_copy", {}),
}


def share(values, count=1):
    """A share of trials with its interval; each value is the mean of ``count`` of them."""
    n, hits = len(values) * count, round(float(np.sum(values)) * count)
    low, high = clopper_pearson(hits, n, 0.025)
    return f"{hits} of {n} [{low:.3f}, {high:.3f}]"


def main():
    """Play every way of a thief against every mark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", default="owned_digits")
    parser.add_argument("--marks", nargs="+", default=["dawn", "entangled", "radioactive"])
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--innocents", type=int, default=4)
    args = parser.parse_args()
    for mark in args.marks:
        scene, table = build(args.scene, {"mark": mark}), None
        for way, (name, params) in WAYS.items():
            attack, started = catalog.load("attack", name), time.process_time()
            if table is None:
                rules = {"rounds": args.rounds, "innocents": args.innocents}
                table = deal(attack, scene, seed=0, params=rules)
            trials = play(attack, scene, seed=0, dealt=table, params=params)
            channel, rows = measure(trials), trials.metrics_by_round
            if way == "copied":
                names = ("owner_accuracy", "innocent_accuracy", "own_data_accuracy")
                means = {k: np.mean(rows[k]) for k in names}
                print(f"{mark}, {args.scene}: {means}")
                print(f"  false claims {share(rows['false_claims'], args.innocents)}")
                print(f"  with p ≤ .05 {share(rows['false_claims_at_20'], args.innocents)}")
            right = np.asarray(rows["accused_copies"], dtype=float)
            right = right[~np.isnan(right)]
            models = np.asarray(rows["accused_models"], dtype=float)
            print(
                f"  {way:26s} destroyed {channel.bits.value:.2f} "
                f"[{channel.bits.lower or 0:.2f}, {channel.high:.2f}] bits; "
                f"claims copies {share(right)}; models at all {models.sum():.0f}; "
                f"accuracy {np.mean(rows['accuracy']):.3f} "
                f"fidelity {np.mean(rows['fidelity']):.3f} "
                f"above the floor {np.mean(rows['washed']):.2f}; "
                f"{time.process_time() - started:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
