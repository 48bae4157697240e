"""Alignment of pictures and captions, at the size of two cores: the tables of docs/alignment.md.

    python bench/alignment.py scene             # how often a held-out picture finds its caption
    python bench/alignment.py destroyed         # bits that attacks destroy, and signal and noise
    python bench/alignment.py destroyed --attack modality_gap_shift
    python bench/alignment.py filter            # clean and mismatched pairs that the filter refuses
    python bench/alignment.py poison --rounds 12  # wrong captions in training: 2 trainings a round
    python bench/alignment.py scene filter destroyed  # several, on the same trainings

The scene is ``retrieval``, of five seeds: each is a split and a training of its own. Of each there
are two rounds of 24 pairs for the attacks without gradients, and one of 12 for those with. Every
cell is played on the same deals, so columns differ by the share of pairs that reach the owner
changed and by what the attacker knows of the filter. Intervals are at 95 %, two sided; the lower
end of the bits is certified. The pairs of all trainings are the units, of ``modality_gap_shift``
the rounds; "by training" are Student's intervals over the trainings.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import cache
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley.catalog import load
from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.core.errors import HartleyError
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.engine.run.pooled_trials import pooled
from hartley.kit.interval_values import mean_figure
from hartley.scenes.retrieval import retrieval

FILTER = {"at": "inference", "false_alarms": 0.1}
DECLARED = ((0.05, 0.95), (0.1, 0.95), (0.1, 0.5))
"""Rate of false alarms, and the confidence that it is no higher."""
TO_CAPTIONS, TO_PICTURES = "picture_to_caption", "caption_to_picture"
IMAGE, TEXT, TYPO, GAP = (
    *("image_perturbation", "text_perturbation"),
    *("typographic", "modality_gap_shift"),
)
CELLS: tuple[tuple[str, str, float, str, dict[str, Any]], ...] = (
    (IMAGE, "none", 1.0, TO_CAPTIONS, {}),
    (IMAGE, "none", 0.5, TO_CAPTIONS, {}),
    (IMAGE, "static", 0.5, TO_CAPTIONS, {}),
    (IMAGE, "adaptive", 0.5, TO_CAPTIONS, {}),
    (IMAGE, "adaptive", 0.5, TO_CAPTIONS, {"towards": "accepted", "steps": 20}),
    (TEXT, "none", 0.5, TO_CAPTIONS, {}),
    (TEXT, "static", 0.5, TO_CAPTIONS, {}),
    (TEXT, "none", 1.0, TO_PICTURES, {}),
    (TYPO, "none", 1.0, TO_CAPTIONS, {}),
    (TYPO, "none", 0.5, TO_CAPTIONS, {}),
    (TYPO, "static", 0.5, TO_CAPTIONS, {}),
    (GAP, "none", 0.5, TO_CAPTIONS, {"steps": 12}),
    (GAP, "static", 0.5, TO_CAPTIONS, {"steps": 12}),
)
"""Attack, what the attacker knows of the filter (none: there is none), share of pairs that reach
the owner changed, direction, and parameters."""

SIZES = {IMAGE: (1, 12), GAP: (1, 12), TEXT: (2, 24), TYPO: (2, 24)}
"""Rounds of a training, and pairs of a round: few where each needs gradients."""

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


@cache
def owner(seed: int) -> Scene:
    """Return the scene of a seed, which draws its split and its training."""
    return retrieval(seed=seed)


def over(name: str, values: list[float]) -> None:
    """Print the mean over trainings."""
    mean = mean_figure(np.array(values))
    if mean.low is not None and mean.high is not None:
        print(f"{name}: {mean:.3f} [{mean.low:.3f}, {mean.high:.3f}] n {mean.n} trainings")


def scene_facts(options: argparse.Namespace) -> None:
    """Print how often a held-out picture finds its caption among all of them."""
    every: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        scene = owner(seed)
        assert scene.utility is not None
        shares: dict[str, Any] = dict(scene.utility(scene))
        for name, share in shares.items():
            every.setdefault(name, []).append(float(share))
            ends = f"[{share.low:.3f}, {share.high:.3f}]"
            print(f"seed {seed} {name}: {float(share):.3f} {ends} n {share.n}")
    for name, values in every.items():
        over(name, values)


def destroyed(options: argparse.Namespace) -> None:
    """Print each cell: bits destroyed, and its metrics, over all trainings."""
    for attack, knows, share, direction, params in CELLS:
        if options.attack not in ("", attack):
            continue
        began = time.process_time()
        batches = []
        rounds, pairs = SIZES[attack]
        for seed in range(options.seeds):
            scene = owner(seed)
            behind = defended(scene, "alignment_filter", FILTER)
            known: dict[str, Any] = {} if knows == "none" else {"knowledge": knows}
            if knows == "static":
                known["undefended"] = scene
            batches.append(
                play(
                    load("attack", attack),
                    scene if knows == "none" else behind,
                    seed=seed,
                    params=params,
                    game_params={
                        "rounds": options.rounds or rounds,
                        "pairs": pairs,
                        "share": share,
                        "direction": direction,
                    },
                    **known,
                )
            )
        seconds = time.process_time() - began
        channel = measure(pooled(batches), redraws=1)
        bits = channel.bits
        print(
            f"{attack} {params or ''} filter {knows}, share {share:g}, {direction}: "
            f"{bits.value:.2f} bits [{bits.lower or 0:.2f}, {channel.high or 0:.2f}] "
            f"n {channel.n} in {channel.clusters} units, {options.seeds} trainings, {seconds:.1f} s"
        )
        for name in SAID:
            if name in channel.metrics:
                print(f"    {name}: {figure(channel.metrics[name])}", flush=True)
        for name in ("before", "after"):
            right = [np.asarray(b.guess if name == "after" else b.reference) for b in batches]
            shares = [float((r == b.truth).mean()) for r, b in zip(right, batches, strict=True)]
            over(f"    right {name}, by training", shares)


def filtered(options: argparse.Namespace) -> None:
    """Print what the filter refuses of clean and of mismatched held-out pairs."""
    attack = load("attack", "typographic")
    for declared, confidence in DECLARED:
        every: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            terms = {"false_alarms": declared, "confidence": confidence}
            behind = defended(owner(seed), "alignment_filter", FILTER | terms)
            trials = play(attack, behind, seed=seed, params={"tries": 1}, game_params={"rounds": 1})
            for name in ("false_alarms", "mismatches_caught"):
                print(f"seed {seed}, {terms}, {name}: {figure(trials.metrics[name])}")
                every.setdefault(name, []).append(float(trials.metrics[name]["value"]))
        for name, values in every.items():
            over(f"{terms}, {name}", values)


def poison(options: argparse.Namespace) -> None:
    """Print what wrong captions in the training pairs destroy; the rounds are the units."""
    attack = load("attack", "swapped_captions")
    trials = play(attack, owner(0), seed=0, game_params={"rounds": options.rounds or 12})
    channel = measure(trials, redraws=1)
    print(
        f"swapped_captions: {channel.bits.value:.2f} bits [{channel.bits.lower or 0:.2f}, "
        f"{channel.high or 0:.2f}] n {channel.n} in {channel.clusters} rounds"
    )
    for name in ("capacity_before", "capacity_after", "accuracy_before", "accuracy_after"):
        print(f"    {name}: {figure(channel.metrics[name])}")


STUDIES = {"scene": scene_facts, "destroyed": destroyed, "filter": filtered, "poison": poison}


def main() -> None:
    """Run studies, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", nargs="+", choices=STUDIES)
    parser.add_argument("--attack", default="", help="one attack of the table")
    parser.add_argument("--rounds", type=int, default=0, help="in place of the table's")
    parser.add_argument("--seeds", type=int, default=5, help="trainings, each of its own split")
    options = parser.parse_args()
    try:
        for study in options.study:
            STUDIES[study](options)
    except HartleyError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
