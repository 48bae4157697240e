"""Marks of pages: what removals leave, and what limits on the owner's detector change.

    hartley pack get pp-ocr
    python bench/marks_pages.py removals [--marks text both] [--removals page_redrawing …]
    python bench/marks_pages.py defenses [--marks text] [--defense query_budget]

Pages of the scene ``marked_pages`` without illustrations, each under a key of its own; the marked
ones alone are played, since what an attacker does to unmarked pages costs as much and says nothing
of what is left. ``defenses`` plays ``page_rewording`` behind limits of the detector, by an attacker
who does not know of them (static) and by one who does (adaptive). Intervals are of 95 %:
Clopper–Pearson of shares, t of means.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from marks_texts import marked_alone, mean, share, verdict

from hartley import catalog
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play

BEHIND: tuple[tuple[str, dict[str, Any]], ...] = (
    ("query_budget", {"queries": 4}),
    ("query_budget", {"queries": 0}),
    ("score_noise", {"scale": 5.0, "keep_label": False}),
)
"""Limits of the detector, and their settings; ``page_rewording`` asks twelve times."""


def scene_of(mark: str, items: int) -> Any:
    from hartley.scenes.marked_pages import marked_pages

    return marked_pages(mark=mark, items=items)


def line(name: str, scene: Any, options: argparse.Namespace, before: Any = None) -> str:
    """Play a removal and return its row in words."""
    attack = catalog.load("attack", name)
    start = time.process_time()
    params = {"rounds": options.rounds, **attack.game_params}
    dealt = marked_alone(deal(attack, scene, seed=options.seed, params=params))
    trials = play(attack, scene, seed=options.seed, params={}, dealt=dealt, undefended=before)
    rounds = {k: np.asarray(v, dtype=float) for k, v in trials.metrics_by_round.items()}
    asked = trials.spec.uses
    words = [f"{k} {mean(rounds[k])}" for k in ("evidence_before", "evidence_after")]
    words += [f"{k} {share(rounds[k])}" for k in ("detected_before", "detected_after", "violated")]
    words += [f"{k} {mean(v)}" for k, v in rounds.items() if k in ("word_f1", "words", "psnr")]
    words.append(f"asked {asked}; {time.process_time() - start:.0f} CPU-s")
    return "; ".join(words)


def removals(options: argparse.Namespace) -> bool:
    for mark in options.marks:
        scene = scene_of(mark, options.items)
        for name in options.removals:
            print(f"{mark} × {name}: {line(name, scene, options)}", flush=True)
    return verdict("removals", True, "every mark and removal was played")


def defenses(options: argparse.Namespace) -> bool:
    for mark in options.marks:
        scene = scene_of(mark, options.items)
        print(f"{mark}, no defense: {line('page_rewording', scene, options)}", flush=True)
        for defense, setting in BEHIND:
            if options.defense and defense != options.defense:
                continue
            after = defended(scene, defense, setting)
            for kind, before in (("static", scene), ("adaptive", None)):
                row = line("page_rewording", after, options, before)
                print(f"{mark} behind {defense} {setting}, {kind}: {row}", flush=True)
    return verdict("defenses", True, "every row was played")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("removals", "defenses"))
    parser.add_argument("--marks", nargs="+", default=["text", "both"], choices=["text", "both"])
    parser.add_argument("--removals", nargs="+", default=["page_redrawing", "page_rewording"])
    parser.add_argument("--defense", default="", help="the only one that is played")
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    return 0 if {"removals": removals, "defenses": defenses}[options.part](options) else 1


if __name__ == "__main__":
    raise SystemExit(main())
