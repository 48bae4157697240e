"""Alignment of pictures and captions, at the size of two cores: the tables of docs/alignment.md.

    python bench/alignment.py scene             # how often a held-out picture finds its caption
    python bench/alignment.py destroyed         # bits that attacks destroy, and signal and noise
    python bench/alignment.py destroyed --attack modality_gap_shift
    python bench/alignment.py filter            # clean and mismatched pairs that the filter refuses
    python bench/alignment.py poison --rounds 12  # wrong captions in training: 2 trainings a round

The scene is ``retrieval``. Rounds are of 24 pairs: six for the attacks without gradients, three for
those with. Every cell is played on the same deals, so columns differ by the share of pairs that
reach the owner changed and by what the attacker knows of the filter. Intervals are at 95 %, two
sided; "lower" of the bits is certified. Of ``modality_gap_shift`` the rounds are the units.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hartley.catalog import load
from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.core.errors import HartleyError
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.scenes.retrieval import retrieval

FILTER = {"at": "inference", "false_alarms": 0.1}
DECLARED = (0.05, 0.1)
TO_CAPTIONS, TO_PICTURES = "picture_to_caption", "caption_to_picture"
CELLS: tuple[tuple[str, str, float, str, int, dict[str, Any]], ...] = (
    ("image_perturbation", "none", 1.0, TO_CAPTIONS, 3, {}),
    ("image_perturbation", "none", 0.5, TO_CAPTIONS, 3, {}),
    ("image_perturbation", "static", 0.5, TO_CAPTIONS, 3, {}),
    ("image_perturbation", "adaptive", 0.5, TO_CAPTIONS, 3, {}),
    ("image_perturbation", "static", 0.5, TO_CAPTIONS, 3, {"towards": "away"}),
    ("text_perturbation", "none", 0.5, TO_CAPTIONS, 6, {}),
    ("text_perturbation", "static", 0.5, TO_CAPTIONS, 6, {}),
    ("text_perturbation", "none", 1.0, TO_PICTURES, 6, {}),
    ("typographic", "none", 1.0, TO_CAPTIONS, 6, {}),
    ("typographic", "none", 0.5, TO_CAPTIONS, 6, {}),
    ("typographic", "static", 0.5, TO_CAPTIONS, 6, {}),
    ("modality_gap_shift", "none", 0.5, TO_CAPTIONS, 3, {"steps": 12}),
    ("modality_gap_shift", "static", 0.5, TO_CAPTIONS, 3, {"steps": 12}),
)
"""Attack, what the attacker knows of the filter (none: there is none), share of pairs that reach
the owner changed, direction, rounds, and parameters."""

SAID = (
    *("capacity_before", "capacity_after", "accuracy_before", "accuracy_after", "outside_budget"),
    *("projection_before", "projection_changed", "signal_changed", "external_noise_changed"),
    *("effective_capacity_before", "infonce_before", "refused", "caught"),
)


def figure(value: Any) -> str:
    """Return a metric with its interval and n."""
    if not isinstance(value, dict):
        return f"{value:.3g}"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}] n {value['n']}"


def scene_facts(scene: Scene, options: argparse.Namespace) -> None:
    """Print how often a held-out picture finds its caption among all of them."""
    del options
    assert scene.utility is not None
    shares: dict[str, Any] = dict(scene.utility(scene))
    for name, share in shares.items():
        print(f"{name}: {float(share):.3f} [{share.low:.3f}, {share.high:.3f}] n {share.n}")


def destroyed(scene: Scene, options: argparse.Namespace) -> None:
    """Print each cell: bits destroyed, and its metrics."""
    behind = defended(scene, "alignment_filter", FILTER)
    for attack, knows, share, direction, rounds, params in CELLS:
        if options.attack not in ("", attack):
            continue
        known: dict[str, Any] = {} if knows == "none" else {"knowledge": knows}
        if knows == "static":
            known["undefended"] = scene
        began = time.process_time()
        trials = play(
            load("attack", attack),
            scene if knows == "none" else behind,
            seed=0,
            params=params,
            game_params={
                "rounds": options.rounds or rounds,
                "share": share,
                "direction": direction,
            },
            **known,
        )
        seconds = time.process_time() - began
        channel = measure(trials, redraws=1)
        bits = channel.bits
        print(
            f"{attack} {params or ''} filter {knows}, share {share:g}, {direction}: "
            f"{bits.value:.2f} bits [{bits.lower or 0:.2f}, {channel.high or 0:.2f}] "
            f"n {channel.n} in {channel.clusters} units, {seconds:.1f} s"
        )
        for name in SAID:
            if name in channel.metrics:
                print(f"    {name}: {figure(channel.metrics[name])}")


def filtered(scene: Scene, options: argparse.Namespace) -> None:
    """Print what the filter refuses of clean and of mismatched held-out pairs."""
    del options
    attack = load("attack", "typographic")
    for declared in DECLARED:
        behind = defended(scene, "alignment_filter", FILTER | {"false_alarms": declared})
        trials = play(attack, behind, seed=0, params={"tries": 1}, game_params={"rounds": 1})
        for name in ("false_alarms", "mismatches_caught"):
            print(f"declared {declared:g}, {name}: {figure(trials.metrics[name])}")


def poison(scene: Scene, options: argparse.Namespace) -> None:
    """Print what wrong captions in the training pairs destroy; the rounds are the units."""
    attack = load("attack", "swapped_captions")
    trials = play(attack, scene, seed=0, game_params={"rounds": options.rounds or 12})
    channel = measure(trials, redraws=1)
    print(
        f"swapped_captions: {channel.bits.value:.2f} bits [{channel.bits.lower or 0:.2f}, "
        f"{channel.high or 0:.2f}] n {channel.n} in {channel.clusters} rounds"
    )
    for name in ("capacity_before", "capacity_after", "accuracy_before", "accuracy_after"):
        print(f"    {name}: {figure(channel.metrics[name])}")


STUDIES = {"scene": scene_facts, "destroyed": destroyed, "filter": filtered, "poison": poison}


def main() -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--attack", default="", help="one attack of the table")
    parser.add_argument("--rounds", type=int, default=0, help="in place of the table's")
    options = parser.parse_args()
    try:
        STUDIES[options.study](retrieval(), options)
    except HartleyError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
