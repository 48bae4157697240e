"""Exact extraction: parameters of small models, and the head of a language model over HTTP.

    python bench/extraction_exact.py linear [--victims 24]
    python bench/extraction_exact.py relu [--layers 1] [--units 16] [--victims 24]
    python bench/extraction_exact.py precision [--victims 4]
    python bench/extraction_exact.py head [--hidden 32] [--top 20] [--victims 24]
    python bench/extraction_exact.py unstable [--victims 6]
    python bench/extraction_exact.py smollm2

``linear`` solves linear and logistic models of the breast tumours and asks for errors below 1e-6
after d + 1 queries. ``relu`` searches networks of digits, a fresh network for each victim, and asks
for errors below 1e-3 on 100,000 held-out inputs each. ``precision`` is the same network where the
endpoint rounds its answers. ``head`` asks a real local server for ``--top`` log-probabilities with
a bias; ``unstable`` one that adds noise to every answer. ``smollm2`` (pack smollm2) asks one that
gives log-probabilities over the whole vocabulary.

Each victim has its own planted symbols and, but for ``smollm2``, its own seed of the attack. In
``head``, ``unstable`` and ``smollm2`` all victims are one network with other rows in its head.
Shares are of victims, with intervals of Clopper–Pearson, 95 %: symbols of one victim stand or fall
together, so that their number has none. The worst error is the largest over all victims.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hartley.core import Scene
from hartley.engine.run.play import play
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.scenes.linear_tumours import linear_tumours
from hartley.scenes.relu_digits import relu_digits
from hartley.scenes.served_novel import served_novel


def played(
    attack: str,
    scene: Callable[[int], Scene],
    victims: int,
    wanted: dict[str, float],
    **game: Any,
) -> None:
    """Print the metrics of victims that are each played alone, and how many meet the wanted."""
    rows, right, started = [], [], time.process_time()
    for seed in range(victims):
        trials = play(attack, scene(seed), seed=seed, game_params={"rounds": 1, **game})
        rows.append(dict(trials.metrics))
        right.append((trials.truth == trials.guess).reshape(-1))
    seconds = (time.process_time() - started) / victims
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        print(f"  {name}: median {np.median(values):.3g}, {values.min():.3g} to {values.max():.3g}")
    met = sum(all(row[name] < limit for name, limit in wanted.items()) for row in rows)
    low, high = clopper_pearson(met, victims, 0.025)
    whole, read = sum(bool(r.all()) for r in right), np.concatenate(right)
    all_low, all_high = clopper_pearson(whole, victims, 0.025)
    limits = " and ".join(f"{name} < {limit:g}" for name, limit in wanted.items())
    print(f"  {limits}: {met} of {victims} victims [{low:.3f}, {high:.3f}]")
    print(f"  all symbols read: {whole} of {victims} victims [{all_low:.3f}, {all_high:.3f}]")
    counts = ", ".join(str(int(r.sum())) for r in right)
    print(f"  symbols read: {read.sum()} of {read.size}; by victim {counts}")
    print(f"  {seconds:.1f} s of processor time a victim")


def linear(victims: int) -> None:
    """Both kinds of models, after d + 1 queries."""
    for kind, inputs in (("linear", 29), ("logistic", 30)):
        print(f"{kind} model of {inputs} inputs, {victims} victims")
        wanted = {"worst_error": 1e-6, "parameter_error": 1e-6, "queries": inputs + 1.5}
        played(
            "equation_solving", lambda s, k=kind: linear_tumours(kind=k, seed=s), victims, wanted
        )


def relu(victims: int, layers: int, units: int) -> None:
    """Networks of digits."""
    print(f"{layers} × {units} units, 64 inputs, {victims} victims")
    played(
        "relu_extraction",
        lambda seed: relu_digits(layers=layers, units=units, seed=seed),
        victims,
        {"worst_error": 1e-3},
        queries=200_000,
    )


def precision(victims: int) -> None:
    """The network of 16 units behind answers of single precision."""
    print(f"1 × 16 units, answers in single precision, {victims} victims")
    played(
        "relu_extraction",
        lambda seed: relu_digits(precision="float32", seed=seed),
        victims,
        {"worst_error": 1e-3},
        queries=20_000,
    )


def head(victims: int, hidden: int, top: int) -> None:
    """The head of a small language model from few log-probabilities with a bias."""
    print(f"hidden size {hidden}, top {top} of 512 with a bias, {victims} victims")
    scene = served_novel(hidden=hidden, top=top)
    wanted = {"size_error": 0.5, "rotation_error": 1e-4}
    played("logit_bias_head", lambda _: scene, victims, wanted, queries=200_000)


def unstable(victims: int) -> None:
    """The same where every answer has noise of its own."""
    for jitter in (1e-6, 1e-4, 1e-2):
        print(f"hidden size 32, top 20 with a bias, noise {jitter:g}, {victims} victims")
        scene = served_novel(jitter=jitter)
        wanted = {"size_error": 0.5, "rotation_error": 1e-4}
        played("logit_bias_head", lambda _, s=scene: s, victims, wanted, queries=200_000)


def smollm2() -> None:
    """SmolLM2 behind a server that gives log-probabilities over its vocabulary."""
    from hartley.scenes.served_smollm import served_smollm

    started = time.perf_counter()
    scene = served_smollm()
    loaded = time.perf_counter() - started
    print(f"SmolLM2, 49,152 log-probabilities an answer; loaded in {loaded:.0f} s")
    started = time.perf_counter()
    played("last_layer", lambda _: scene, 1, {"size_error": 0.5, "head_error": 1e-2})
    print(f"  {time.perf_counter() - started:.0f} s in all, with the judge's")


def main() -> None:
    """Play what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("linear", "relu", "precision", "head", "unstable", "smollm2")
    parser.add_argument("what", choices=names)
    for flag, default in (
        ("victims", 0),
        ("layers", 1),
        ("units", 16),
        ("hidden", 32),
        ("top", 20),
    ):
        parser.add_argument(f"--{flag}", type=int, default=default)
    given = parser.parse_args()
    many = given.victims or {"precision": 4, "unstable": 6}.get(given.what, 24)
    if given.what == "relu":
        relu(many, given.layers, given.units)
    elif given.what == "head":
        head(many, given.hidden, given.top)
    elif given.what == "smollm2":
        smollm2()
    else:
        {"linear": linear, "precision": precision, "unstable": unstable}[given.what](many)


if __name__ == "__main__":
    main()
