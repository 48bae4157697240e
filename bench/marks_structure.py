"""Marks of graphs and tables: what removals leave of them, without and behind defenses of marks.

    PYTHON bench/marks_structure.py             # tumours and graphs, behind each defense
    PYTHON bench/marks_structure.py --census    # each removal and the forgery on the census

Each row behind a defense is played by an attacker who knows of it and by one who does not (static);
``stolen_cells`` alone does anything else for it. Graphs need the pack wordnet, the census needs
adult. Intervals of shares are Clopper and Pearson's at 95 %, items being the unit. Prints ``ok`` or
``NOT MET`` beside what docs/marks.md says.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.infotheory.binary_channel import clopper_pearson

BEHIND: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "stolen_cells": (
        ("multi_key", {"keys": 4}),
        ("multi_key", {"keys": 16}),
        ("per_item_keys", {}),
    ),
    "row_deletion": (("per_item_keys", {}),),
    "recurrent_link_removal": (
        ("multi_key", {"keys": 4}),
        ("multi_key", {"keys": 16}),
        ("voting", {}),
    ),
    "structural_pruning": (("voting", {}),),
}
SCENES = {
    "stolen_cells": "marked_tables",
    "row_deletion": "marked_tables",
    "recurrent_link_removal": "marked_senses",
    "structural_pruning": "marked_senses",
}
CENSUS = ("row_deletion", "cell_noise", "cell_rounding", "table_resampling", "stolen_cells",
          "stolen_cells_copy")  # fmt: skip


def row(
    attack: str,
    scene: Scene,
    rounds: int,
    seed: int,
    behind: str = "",
    known: Scene | None = None,
) -> float:
    """Print one row; return the share of items that are detected, or attributed, afterwards.

    ``known`` is the scene as a static attacker believes it to be.
    """
    size = {"rounds": rounds}
    trials = play(attack, scene, seed=seed, game_params=size, undefended=known)
    metrics = {name: float(np.nanmean(value)) for name, value in trials.metrics.items()}
    share = metrics.get("detected_after", metrics.get("attributed", float("nan")))
    count = round(share * rounds)
    low, high = (float(np.asarray(x)) for x in clopper_pearson(count, rounds, 0.025))
    bits = measure(trials, redraws=1).bits
    limits = ", ".join("?" if end is None else f"{end:.3f}" for end in (bits.lower, bits.upper))
    word = "attributed" if "attributed" in metrics else "detected"
    before = metrics.get("ber_before", 1 - metrics.get("mark_reads", float("nan")))
    print(
        f"{attack:24s}{behind:24s}{word} {count} of {rounds} [{low:.2f}, {high:.2f}]  "
        f"BER {before:.3f} -> {metrics.get('ber_after', float('nan')):.3f}  "
        f"bits {bits.value:.3f} [{limits}]  "
        f"{metrics.get('table_similarity', metrics.get('link_f1')):.3f}",
        flush=True,
    )
    return share


def main() -> None:
    """Print every row and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--census", action="store_true")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rounds, seed = options.rounds, options.seed
    if options.census:
        people = build("marked_tables", {"data": "income"})
        left = {attack: row(attack, people, rounds, seed) for attack in CENSUS}
        met = left["cell_noise"] == 0 and left["row_deletion"] == 1
    else:
        left = {}
        for attack, defenses in BEHIND.items():
            scene = build(SCENES[attack], {})
            left[attack] = row(attack, scene, rounds, seed)
            for name, params in defenses:
                words = " ".join([name, *map(str, params.values())])
                behind = defended(scene, name, params)
                left[f"{attack} {words}"] = row(attack, behind, rounds, seed, words)
                row(attack, behind, rounds, seed, f"{words}, static", known=scene)
        met = left["stolen_cells"] == 0 and left["structural_pruning voting"] == 1
    print("ok" if met else "NOT MET")


if __name__ == "__main__":
    main()
