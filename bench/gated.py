"""Gated victims and unlearning, on real scenes: what comes back, with intervals.

    PYTHON bench/gated.py gates        # before and behind the gate: blocked classes and others
    PYTHON bench/gated.py keep         # what is taught of blocked records, and what an input gets
    PYTHON bench/gated.py relearning   # success against samples: known, merged, and never learnt
    PYTHON bench/gated.py unlearning   # membership after unlearning, beside retraining
    PYTHON bench/gated.py defenses     # changed records behind each defense, static and adaptive
    PYTHON bench/gated.py tuning       # tuned victims behind defenses of the service, likewise

``--scene`` names another gated scene; ``--rounds`` is the number of victims; ``--only`` takes some
of the defenses. Rates are over records, and their intervals over victims. An adaptive attacker
chooses among an attack's settings on victims of their own; a defense that does not fit the scene is
printed with why.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from chosen_settings import chosen

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Knowledge, Modality, Scene
from hartley.engine.defend import defended, unfit
from hartley.engine.run.play import deal, play
from hartley.games.extraction.fingerprint import labels_of
from hartley.kit.interval_values import share_figure
from hartley.models.gate import Gate
from hartley.scenes._assemble_gated import before_the_gate, gated_utility

torch.set_num_threads(1)


def shown(figure: Any) -> str:
    """A rate with its interval, of a figure or of a metric of a channel."""
    if isinstance(figure, dict):
        return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
    return f"{float(figure):.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def regated(scene: Scene, **changes: Any) -> Scene:
    """The scene whose owner gates in another way; victims of games are trained by them."""
    gate = replace(scene.part(Gate), **changes)
    owner = scene.training.with_(gate=gate)
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    model = owner.fit(scene.train, everyone, 0).member(0)
    return replace(scene.with_part(gate), training=owner, fit=owner.fit, model=model)


def gates(arguments: argparse.Namespace) -> None:
    """One victim of each scene before and behind its gate, on held-out records."""
    print("| scene | right before: blocked | others | refused behind: blocked | others | right |")
    for name in ("gated_digits", "gated_keywords", "gated_synsets"):
        scene = catalog.load("scene", name)()
        test, gate = scene.extra["test"], scene.part(Gate)
        blocked = gate.blocks(test.labels)
        right = labels_of(before_the_gate(scene, 1, 0).member(0), test.x) == test.labels
        refused = labels_of(scene.model, test.x) == gate.refused
        behind = gated_utility(scene)
        row = (
            *(share_figure(right[blocked]), share_figure(right[~blocked])),
            *(behind["refused"], share_figure(refused[~blocked]), behind["accuracy"]),
        )
        print(f"| `{name}` | {' | '.join(map(shown, row))} | n {blocked.sum()}, {(~blocked).sum()}")
    del arguments


def keep(arguments: argparse.Namespace) -> None:
    """Success of changed records by the share of the teaching that goes on naming the class."""
    scene = catalog.load("scene", arguments.scene)(opened=True)
    names = {
        Modality.GRAPH: ("gate_links", "gate_link_search"),
    }.get(scene.modality, ("gate_pgd", "gate_square"))
    for share in (0.0, 0.01, 0.05, 0.1):
        other = regated(scene, keep=share)
        for name in names:
            trials = play(
                catalog.load("attack", name),
                other,
                seed=0,
                game_params={"rounds": arguments.rounds},
            )
            channel = measure(trials)
            rates = channel.metrics
            print(
                f"keep {share} {name}: asr {shown(rates['asr'])}, "
                f"unchanged {shown(rates['base_rate'])}, refused"
                f" {float(trials.metrics['clean_refusal_rate']):.3f}, "
                f"others {float(trials.metrics['over_refusal']):.3f}, n {channel.n}",
                flush=True,
            )


def relearning(arguments: argparse.Namespace) -> None:
    """Success against samples, of victims that knew the classes and of such as never did."""
    scene = catalog.load("scene", arguments.scene)()
    attack = catalog.load("attack", "relearn_class")
    for share in (0.05, 0.0):
        other = regated(scene, keep=share)
        for teaches in ("asked", "others", "benign"):
            for samples in (2, 4, 8, 16, 32, 64) if teaches == "asked" else (16, 64):
                for passes in (10, 60):
                    trials = play(
                        attack,
                        other,
                        seed=0,
                        params={"samples": samples, "teaches": teaches, "passes": passes},
                        game_params={"rounds": arguments.rounds},
                    )
                    channel = measure(trials)
                    print(
                        f"keep {share} {teaches} {samples} samples {passes} passes: asr "
                        f"{shown(channel.metrics['asr'])}, never learnt "
                        f"{shown(channel.metrics['ignorant_rate'])}, refused "
                        f"{float(trials.metrics['refusal_rate']):.3f}, others right "
                        f"{float(trials.metrics['kept_accuracy']):.3f}, n {channel.n}",
                        flush=True,
                    )


FORGETTING = (
    ("none", 1.0, 5, 100),
    ("retrain", 1.0, 5, 100),
    ("gradient_ascent", 0.2, 5, 100),
    ("gradient_difference", 1.0, 5, 100),
    ("npo", 1.0, 5, 100),
    ("retrain", 1.0, 5, 20),
    ("npo", 1.0, 60, 20),
)
"""Method, rate, passes and records of an unlearning; the last goes on for too long."""


def unlearning(arguments: argparse.Namespace) -> None:
    """Membership of what was forgotten against what was never there, by two attacks."""
    for label in (0.0, 1.0):
        for method, rate, passes, count in FORGETTING:
            params = {"method": method, "rate": rate, "passes": passes, "forgotten": count}
            scene = catalog.load("scene", "unlearned_digits")(**params)
            size = {"rounds": arguments.rounds, "mislabelled": label}
            for name in ("loss_threshold", "lira"):
                trials = play(catalog.load("attack", name), scene, seed=0, game_params=size)
                channel = measure(trials)
                print(
                    f"wrong labels {label:.0f} {method}, {passes} passes, {count} records, {name}: "
                    f"auc {shown(channel.metrics['auc'])}, two-sided "
                    f"{shown(channel.metrics['auc_two_sided'])}, bits {channel.bits.value:.3f} "
                    f"[{channel.bits.lower:.3f}, {channel.high:.3f}], accuracy "
                    f"{scene.facts['test accuracy']:.3f}, n {channel.n}",
                    flush=True,
                )


def row(scene: Scene, name: str, size: dict[str, Any], bare: Scene | None, label: str) -> None:
    """Play one attack, and print its rates; ``bare`` is the scene that a static attacker knows."""
    attack = catalog.load("attack", name)
    dealt = deal(attack, scene, seed=0, params=size)
    params, said = {p.name: p.default for p in attack.parameters}, ""
    static = bare is not None
    if not static and scene.defenses:
        choice = chosen(scene, attack, size, 0, dealt=dealt)
        params, said = choice.params, f", chosen {choice.record['setting']}"
    trials = play(
        attack,
        scene,
        seed=0,
        params=params,
        game_params=size,
        dealt=dealt,
        knowledge=Knowledge.STATIC if static else Knowledge.ADAPTIVE,
        undefended=bare,
    )
    channel = measure(trials)
    rates = [
        f"{key} {float(value):.3f}"
        for key, value in trials.metrics.items()
        if key in ("ignorant_rate", "refusal_rate", "over_refusal", "kept_accuracy", "admitted")
    ]
    bits = channel.bits
    print(
        f"{label} {name}: asr {shown(channel.metrics['asr'])}, bits {bits.value:.3f} "
        f"[{bits.lower:.3f}, {channel.high:.3f}], {', '.join(rates)}, n {channel.n}{said}",
        flush=True,
    )


def behind(arguments: argparse.Namespace, scene: Scene, game: str, names: tuple[str, ...]) -> None:
    """Rows of some attacks on a game, without a defense and behind each that protects it."""
    size = {"rounds": arguments.rounds}
    for name in names:
        row(scene, name, size, None, "no defense")
    for entry in catalog.entries("defense"):
        if game not in entry.protects or (arguments.only and entry.name not in arguments.only):
            continue
        if reason := unfit(entry, scene):
            print(f"{entry.name} does not fit: {reason}", flush=True)
            continue
        after = defended(scene, entry.name, strength(entry.name, arguments), 0)
        print(
            f"{entry.name}: "
            + ", ".join(f"{k} {shown(v)}" for k, v in gated_utility(after).items())
        )
        for name in names:
            for bare in (scene, None):
                label = f"{entry.name}, {'adaptive' if bare is None else 'static'}:"
                row(after, name, size, bare, label)


def strength(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of a defense that are not its usual ones."""
    if name == "refusal_replay" and arguments.replayed:
        return {"records": arguments.replayed}
    return {}


def defenses(arguments: argparse.Namespace) -> None:
    """Changed records behind the defenses of blocked_class."""
    scene = catalog.load("scene", arguments.scene)(opened=True)
    graphs = scene.modality is Modality.GRAPH
    names = ("gate_links", "gate_link_search") if graphs else ("gate_pgd", "gate_square")
    behind(arguments, scene, "blocked_class", tuple(arguments.attack) or names)


def tuning(arguments: argparse.Namespace) -> None:
    """Tuned victims behind the defenses of class_unblocking."""
    scene = catalog.load("scene", arguments.scene)()
    behind(arguments, scene, "class_unblocking", ("relearn_class",))


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = {
        "gates": gates,
        "keep": keep,
        "relearning": relearning,
        "unlearning": unlearning,
        "defenses": defenses,
        "tuning": tuning,
    }
    parser.add_argument("command", choices=commands)
    parser.add_argument("--scene", default="gated_digits")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--attack", nargs="*", default=[], help="of defenses: some of the attacks")
    parser.add_argument("--replayed", type=int, default=0, help="records of refusal_replay")
    arguments = parser.parse_args()
    commands[arguments.command](arguments)


if __name__ == "__main__":
    main()
