"""Poison of pictures with captions, at the size of two cores: claim, ours with interval, verdict.

    python bench/pair_poisoning.py curve      # number and rate of poison, to where it breaks
    python bench/pair_poisoning.py filters    # what each filter sees of each disguise
    python bench/pair_poisoning.py defenses   # success and retrieval behind each defense, paired

curve        Three pairs suffice for a targeted attack and 300 for a backdoor, of 3 million
             (arXiv:2106.09667); there the encoders are trained, here they are frozen and the
             projections are.
filters      Area under the ROC curve, and poison dropped at 5 % false alarms on clean pairs; beside
             it what a cut at z = 1.645 of the suspects' own mean and deviation flags of a set that
             is poison alone, which is about 5 % whatever the poison is.
defenses     Targeted poison of 93.75 % falls to 12.5 % by RoCLIP and to 0 by SafeCLIP
             (arXiv:2310.05862), at encoders that are trained on a million pairs. Here three pairs a
             target, four targets a victim. Every defense meets the same poison and seeds, so that
             differences are by victim. "clean alone" throws the training pairs away and trains on
             the clean pairs that the filters and clean_clip have; "clean added" trains on both.

One trigger and one message a victim, of defenses four. Intervals are Student's over victims
(filters: over poisons) at 95 %, and exact where all victims agree.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import mannwhitneyu, t

from hartley import catalog
from hartley.core import Data, Modality
from hartley.defenses._shared import pair_scores
from hartley.defenses._shared.clean_records import clean_pairs
from hartley.defenses.signal.feature_filter import agreement
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.captioned_pictures import CaptionedPictures
from hartley.models.paired import retrieval
from hartley.scenes.captions import captions

ALPHA, FALSE_ALARMS, CUT = 0.05, 0.05, 1.645
ATTACKS = {
    "backdoored_pairs": ("none", "mixed", "shared_words", "own_captions"),
    "mismatched_pairs": ("none", "mixed", "shared_words"),
}


def interval(values: Any) -> str:
    """Return the mean of shares in percent with Student's interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return f"{100 * values.mean():.1f} [no interval of one]"
    if values.min() == values.max() and values[0] in (0, 1):
        # Equal victims have no spread: the exact limits of n of n (or of none of n).
        least = (ALPHA / 2) ** (1 / len(values))
        low, high = (least, 1.0) if values[0] else (0.0, 1 - least)
        return f"{100 * values[0]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    width = t.ppf(1 - ALPHA / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    low, high = max(0.0, values.mean() - width), min(1.0, values.mean() + width)
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def auc(poison: Any, honest: Any) -> float:
    """Return how often poison scores higher than an honest pair; ties count half."""
    return float(mannwhitneyu(poison, honest).statistic / (len(poison) * len(honest)))


def curve(arguments: argparse.Namespace) -> None:
    """Print success by number and rate of poison."""
    for name in ATTACKS:
        attack = catalog.load("attack", name)
        for records in arguments.records:
            scene = captions(records=records)
            for poisons in arguments.poisons:
                rules = {"rounds": arguments.rounds, "slots": 1, "poisons": poisons}
                trials = play(attack, scene, seed=0, game_params=rules)
                success, base = (trials.metrics_by_round[k] for k in ("asr", "base_rate"))
                drop = trials.metrics_by_round["clean_accuracy_drop"]
                print(
                    f"{name} {len(scene.train)} records, {poisons:2d} poison "
                    f"({trials.metrics['poison_rate']:.2%}): success {interval(success)}, "
                    f"of clean victims {interval(base)} %, n {len(success)}; "
                    f"accuracy {100 * np.mean(drop):.1f} points lower",
                    flush=True,
                )


def filters(arguments: argparse.Namespace) -> None:
    """Print what each filter sees of poison; no victim is trained."""
    scene = captions()
    part = scene.part(CaptionedPictures)
    trusted = clean_pairs(scene, 1000, "the bench")
    split = trusted.facts["split"]

    def scores(data: Data, name: str) -> tuple[Any, Any]:
        if name == "feature_filter":
            usual = agreement(trusted.x, trusted.x, split, 5, themselves=True)
            return -usual, -agreement(data.x, trusted.x, split, 5)
        rule = pair_scores.misalignment if name[0] == "a" else pair_scores.contrastive_loss
        return pair_scores.scored(scene.fit, trusted, data, rule, folds=4, seed=0)

    for name, disguises in ATTACKS.items():
        attack = catalog.load("attack", name)
        rules = {"rounds": arguments.rounds, "slots": 1, "poisons": 16}
        rounds = deal(attack, scene, seed=0, params=rules).rounds
        for disguise in disguises:
            loots = [
                attack(one.view, np.random.default_rng(i), disguise=disguise).asset
                for i, one in enumerate(rounds)
            ]
            ends = np.cumsum([len(loot) for loot in loots])[:-1]
            x = np.concatenate([scene.train.x, *(part.features(loot) for loot in loots)])
            pairs = Data("pairs", Modality.PAIRED, x, facts=scene.train.facts)
            for rule in ("alignment_filter", "loss_filter", "feature_filter"):
                usual, values = scores(pairs, rule)
                honest, poison = np.split(values, [len(scene.train)])
                limit = np.quantile(usual, 1 - FALSE_ALARMS, method="higher")
                each = np.split(poison, ends)
                print(
                    f"{name} {disguise:12s} {rule:16s}: AUC "
                    f"{interval([auc(p, honest) for p in each])} %, drops "
                    f"{interval([(p > limit).mean() for p in each])} % of the poison and "
                    f"{100 * (honest > limit).mean():.1f} % of the rest; their own z flags "
                    f"{100 * ((poison - poison.mean()) / poison.std() > CUT).mean():.1f} %, "
                    f"n {len(each)}",
                    flush=True,
                )


BEHIND = {
    "none": (),
    "roclip": ("roclip",),
    "alignment_filter": ("alignment_filter",),
    "safe_clip": ("safe_clip",),
    "clean_clip": ("clean_clip",),
    "clean_clip of 200": ("clean_clip",),
    "safe_clip, clean_clip": ("safe_clip", "clean_clip"),
    "clean alone": (),
    "200 clean alone": (),
    "clean added": (),
}
SETTINGS = {"clean_clip of 200": {"clean": 200}}
DISGUISES = ("none", "mixed", "shared_words")


def defenses(arguments: argparse.Namespace) -> None:
    """Print success, base rate and retrieval behind each defense, by disguise of the poison."""
    scene = captions()
    attack = catalog.load("attack", "mismatched_pairs")
    rules = {"rounds": arguments.rounds, "slots": 4, "poisons": 3}
    first: dict[str, Any] = {}
    for name, parts in BEHIND.items():
        if arguments.only and name not in ("none", *arguments.only):
            continue
        behind = scene
        for part in parts:
            behind = defended(behind, part, SETTINGS.get(name, {}))
        for disguise in DISGUISES if parts else DISGUISES[:1]:
            recalls: list[float] = []
            watched = replace(behind, fit=watching(behind, recalls, name))
            trials = play(
                attack,
                watched,
                seed=arguments.seed,
                game_params=rules,
                params={"disguise": disguise},
                undefended=scene if parts else None,
            )
            by_round = trials.metrics_by_round
            asr, base = np.asarray(by_round["asr"]), np.asarray(by_round["base_rate"])
            recall = np.asarray(recalls[: len(asr)])
            first.setdefault("asr", asr)
            first.setdefault("recall", recall)
            print(
                f"{name}, disguise {disguise}: success {interval(asr)} %, of clean victims "
                f"{interval(base)}; lower by {signed(first['asr'] - asr)} points; R@1 "
                f"{interval(recall)} %, lower by {signed(first['recall'] - recall)}; dropped "
                f"{trials.metrics.get('dropped_poison', 0):.1%} of the poison and "
                f"{trials.metrics.get('dropped_clean', 0):.1%} of the rest; n {len(asr)} victims",
                flush=True,
            )


def watching(scene: Any, recalls: list[float], name: str) -> Any:
    """Return the scene's training, which notes how often its models find a test caption first.

    By its name it trains on the clean pairs alone, or on them too.
    """

    def fit(data: Data, include: Any, seed: int) -> Any:
        trusted = clean_pairs(scene, 200 if "200" in name else len(scene.holdout), "the bench")
        clean = np.ones((len(include), len(trusted)), dtype=bool)
        if name.endswith("clean alone"):
            data, include = trusted, clean
        elif name == "clean added":
            data = replace(data, x=np.concatenate([data.x, trusted.x]))
            include = np.hstack([include, clean])
        trained = scene.fit(data, include, seed)
        found = (retrieval(trained.member(k), scene.extra["test"]) for k in range(trained.size))
        recalls.extend(float(one["recall_at_1"]) for one in found)
        return trained

    return fit


def signed(values: Any) -> str:
    """Return the mean of differences in points with Student's interval."""
    values = 100 * np.asarray(values, dtype=float)
    width = t.ppf(1 - ALPHA / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.1f} [{values.mean() - width:.1f}, {values.mean() + width:.1f}]"


def main() -> None:
    """Print one command's figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("curve", "filters", "defenses"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=BEHIND, help="of defenses")
    parser.add_argument("--records", type=int, nargs="*", default=[400, 800])
    parser.add_argument("--poisons", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    arguments = parser.parse_args()
    {"curve": curve, "filters": filters, "defenses": defenses}[arguments.command](arguments)


if __name__ == "__main__":
    main()
