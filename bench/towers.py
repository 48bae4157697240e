"""A tower of pictures that is tuned against an attacker: what it costs and what it keeps.

    python bench/towers.py tuned --seeds 5   # R@1 clean and attacked, with and without tuning
    python bench/towers.py bits --seeds 5    # bits that the attack leaves, and the filter of pairs
    python bench/towers.py sizes --seeds 2   # the same for towers of three sizes

The scene is ``trained_tower``: pictures of 64 pixels, a budget of 2/255 a pixel. A seed draws the
split, the tower's first weights and all orders, so that a seed is a training and the unit of the
intervals (Student's, 95 %, paired where two towers are compared).

tuned   none is the tower as trained; embeddings and captions are ``adversarial_tuning`` (the roles
        of FARE and TeCoA); no attacker is as many passes over clean pictures and their
        captions, which shows what the passes teach by themselves. R@1 is the share of all
        held-out pictures whose caption is the nearest of all held-out captions.
        white    40 steps from each of two starts, up the margin of the nearest wrong caption
                 over the nearest right one, through this very tower; a picture counts as lost if
                 any of its iterates, rounded to a file, is.
        transfer what is left of white, after 20 steps through the tower that was not tuned.
        black    what is left of transfer, after 300 tries of random squares (arXiv:1912.00049), by
                 the margin alone.
        Where transfer or black take many that white left, gradients are masked.

bits and sizes print two intervals. Of the pairs of all trainings together it covers other pairs for
these very trainings; "by training" is Student's, over other trainings too.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from hartley.catalog import load
from hartley.channel.measure import measure
from hartley.core import Scene, Trials, spawn
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.engine.run.pooled_trials import pooled
from hartley.games.alignment.pair_encoders import unit
from hartley.games.alignment.picture_tower import PictureTower
from hartley.kit.interval_values import mean_figure
from hartley.kit.vision import conv_tower
from hartley.kit.vision.tower_lessons import Lesson
from hartley.scenes._captioned import Gallery
from hartley.scenes.trained_tower import EPSILON, trained_tower

WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "embeddings": {"preserves": "embeddings", "epochs": 5},
    "captions": {"preserves": "captions", "epochs": 5},
    "captions, long": {"preserves": "captions", "epochs": 20},
    "no attacker": {"epochs": 5},
    "no attacker, long": {"epochs": 20},
}
"""How a tower is trained on: parameters of the defense, or passes over captions alone."""


def variant(scene: Scene, way: str) -> Scene:
    """Return the scene with a tower that was trained on in one of these ways."""
    how = WAYS[way]
    if not how:
        return scene
    if "preserves" in how:
        return defended(scene, "adversarial_tuning", how)
    lesson = Lesson("captions", how["epochs"], RATE)
    return scene.part(PictureTower).taught(lesson, spawn(scene.settings.seed, way)).deployed(scene)


RATE = 1e-3
"""Largest learning rate of the passes without an attacker, as of the tuning."""


class Search:
    """All held-out pictures and captions, and the margins by which pictures miss theirs."""

    def __init__(self, scene: Scene) -> None:
        tower, gallery = scene.part(PictureTower), scene.part(Gallery)
        self.shape, self.state = tower.shape, conv_tower.as_tensors(tower.state)
        self.pictures = torch.from_numpy(tower.sets["every test picture"].pictures)
        texts = gallery.captions.x[:, -len(tower.text) :] @ tower.text
        self.captions = torch.from_numpy(unit(texts).astype(np.float32))
        self.right = torch.from_numpy(gallery.right)

    def margins(self, x: torch.Tensor, rows: torch.Tensor, slope: bool = False) -> Any:
        """Return how much nearer the nearest wrong caption is; above 0 a picture is lost."""
        x = (torch.round(x * 255) / 255).requires_grad_(slope)
        with torch.set_grad_enabled(slope):
            z = conv_tower.embedded(self.state, conv_tower.features(self.state, self.shape, x))
            alike, right = z @ self.captions.T, self.right[rows]
            far = alike.masked_fill(right, -2).amax(1) - alike.masked_fill(~right, -2).amax(1)
        if not slope:
            return far
        return far.detach(), torch.autograd.grad(far.sum(), x)[0]

    def hits(self) -> torch.Tensor:
        """Return which pictures find a caption of theirs."""
        rows = torch.arange(len(self.pictures))
        parts = [self.margins(self.pictures[r], r) < 0 for r in rows.split(64)]
        return torch.cat(parts)

    def white(self, alive: torch.Tensor, steps: int, starts: int, judges: list[Search]) -> Any:
        """Return which pictures (judges, n) are still found after steps through this tower."""
        generator, left = torch.Generator().manual_seed(0), [alive.clone() for _ in judges]
        for _ in range(starts):
            for rows in torch.nonzero(torch.stack(left).any(0))[:, 0].split(64):
                clean = self.pictures[rows]
                change = (torch.rand(clean.shape, generator=generator) * 2 - 1) * EPSILON
                for step in range(steps + 1):
                    now = (clean + change).clamp(0, 1)
                    for judge, still in zip(judges, left, strict=True):
                        still[rows] &= judge.margins(now, rows) < 0
                    _, slope = self.margins(now, rows, slope=True)
                    length = EPSILON * (0.25 if step < steps // 2 else 0.08)
                    change = (change + length * slope.sign()).clamp(-EPSILON, EPSILON)
        return torch.stack(left)

    def black(self, alive: torch.Tensor, tries: int) -> torch.Tensor:
        """Return which pictures are still found after random squares."""
        rng, left = np.random.default_rng(0), alive.clone()
        rows = torch.nonzero(left)[:, 0]
        clean = self.pictures[rows]
        stripes = rng.choice([-1.0, 1.0], (*clean.shape[:2], 1, clean.shape[3]))
        best = (clean + EPSILON * torch.from_numpy(stripes).float()).clamp(0, 1)
        far, side = self.margins(best, rows), clean.shape[2]
        for attempt in range(tries):
            size = max(
                2,
                int(
                    side * (0.4 if attempt < tries // 4 else 0.2 if attempt < tries // 2 else 0.08)
                ),
            )
            now = best.clone()
            for k in range(len(rows)):
                a, b = rng.integers(0, side - size + 1, 2)
                signs = torch.from_numpy(rng.choice([-1.0, 1.0], (3, 1, 1))).float()
                place = (slice(None), slice(a, a + size), slice(b, b + size))
                now[k][place] = (clean[k][place] + EPSILON * signs).clamp(0, 1)
            tried = self.margins(now, rows)
            better = tried > far
            best[better], far[better] = now[better], tried[better]
        left[rows] &= far < 0
        return left


def tuned(options: argparse.Namespace) -> None:
    """Print R@1 of each way to go on training, and the paired differences."""
    shares: dict[tuple[str, str], list[float]] = {}
    scenes = [trained_tower(size=options.size, seed=seed) for seed in range(options.seeds)]
    for way in options.ways:
        for seed, scene in enumerate(scenes):
            began = time.process_time()
            base, now = Search(scene), Search(variant(scene, way))
            hits = now.hits()
            (white,) = now.white(hits, 40, 2, [now])
            (transfer,) = base.white(white, 20, 1, [now])
            black = now.black(transfer, 300)
            every = {"clean": hits, "white": white, "transfer": transfer, "black": black}
            for name, found in every.items():
                shares.setdefault((way, name), []).append(float(found.float().mean()))
            said = ", ".join(f"{name} {float(x.float().mean()):.3f}" for name, x in every.items())
            seconds = time.process_time() - began
            print(f"seed {seed} {way}: {said} of {len(hits)}, {seconds:.0f} s", flush=True)
    if options.seeds > 1:
        compared(options.ways, shares)


def line(name: str, values: Any) -> None:
    """Print the mean over trainings."""
    figure = mean_figure(np.asarray(values))
    print(f"{name}: {figure:.3f} [{figure.low:.3f}, {figure.high:.3f}] n {figure.n} trainings")


def compared(ways: list[str], shares: dict[tuple[str, str], list[float]]) -> None:
    """Print the means over trainings, and the paired differences."""
    for (way, name), values in shares.items():
        line(f"{way} {name}", values)
    if "none" not in ways:
        return
    clean, bare = (np.array(shares["none", name]) for name in ("clean", "black"))
    for way in [way for way in ways if way != "none"]:
        line(f"{way} clean loss, paired", clean - shares[way, "clean"])
        line(f"{way} gain under attack, paired", np.array(shares[way, "black"]) - bare)
        line(f"{way} kept of the clean share before", np.array(shares[way, "black"]) / clean)
        line(f"{way} kept of its own clean share", ratio_of(shares, way, way))
    for way, control in (("captions", "no attacker"), ("captions, long", "no attacker, long")):
        if way in ways and control in ways:
            gap = np.array(shares[way, "clean"]) - shares[control, "clean"]
            line(f"{way} clean less {control}, paired", gap)
            gap = np.array(shares[way, "black"]) - shares[control, "black"]
            line(f"{way} gain over {control}, paired", gap)
            line(f"{way} kept of {control}'s clean share", ratio_of(shares, way, control))


def ratio_of(shares: dict[tuple[str, str], list[float]], way: str, clean: str) -> Any:
    """Return what one way keeps under attack of the clean share of another, by training."""
    return np.array(shares[way, "black"]) / np.array(shares[clean, "clean"])


CELLS: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("none", 1.0, {}),
    ("none", 0.5, {}),
    ("static", 0.5, {}),
    ("adaptive", 0.5, {}),
    ("adaptive", 0.5, {"towards": "accepted"}),
)
"""What the attacker knows of the filter of pairs (none: there is none), share of the pairs that
reach the owner changed, and parameters of ``image_perturbation``."""


def bits(options: argparse.Namespace) -> None:
    """Print what the attack leaves of the channel, with and without tuning and the filter."""
    scenes = [trained_tower(size=options.size, seed=seed) for seed in range(options.seeds)]
    for way in options.ways:
        tuned_scenes = [variant(scene, way) for scene in scenes]
        for knows, share, params in CELLS[options.first :]:
            name = f"{way}, filter {knows}, share {share:g} {params or ''}"
            show(name, [played(s, knows, share, params, k) for k, s in enumerate(tuned_scenes)])


def sizes(options: argparse.Namespace) -> None:
    """Print what the attack leaves of the channel for towers of three sizes."""
    for size in ("small", "medium", "large"):
        scenes = [trained_tower(size=size, seed=seed) for seed in range(options.seeds)]
        name = f"{size}, {scenes[0].facts['parameters']:,} parameters"
        show(name, [played(scene, "none", 1.0, {}, k) for k, scene in enumerate(scenes)])


def played(scene: Scene, knows: str, share: float, params: dict[str, Any], seed: int) -> Trials:
    """Return the trials of image_perturbation on 64 pairs."""
    known: dict[str, Any] = {} if knows == "none" else {"knowledge": knows}
    if knows == "static":
        known["undefended"] = scene
    if knows != "none":
        scene = defended(scene, "alignment_filter", {"at": "inference", "false_alarms": 0.1})
    rounds = {"rounds": 2, "pairs": 32, "share": share}
    attack = load("attack", "image_perturbation")
    return play(attack, scene, seed=seed, params=params, game_params=rounds, **known)


def show(name: str, batches: list[Trials]) -> None:
    """Print what is left: of the pairs, given these trainings, and over the trainings."""
    channel = measure(pooled(batches), redraws=1)
    print(
        f"{name}: destroyed {channel.bits.value:.3f} [{channel.bits.lower or 0:.3f}, "
        f"{channel.high or 0:.3f}], n {channel.n} of {len(batches)} trainings"
    )
    for metric in ("capacity_before", "capacity_after", "accuracy_before", "accuracy_after"):
        print(f"    {metric}: {figure(channel.metrics[metric])}", flush=True)
    for metric in ("caught", "refused"):
        if metric in channel.metrics:
            print(f"    {metric}: {figure(channel.metrics[metric])}")
    singly = [measure(batch, redraws=1) for batch in batches]
    over("destroyed, by training", [one.bits.value for one in singly])
    for metric in ("capacity_before", "capacity_after", "accuracy_before", "accuracy_after"):
        over(f"{metric}, by training", [number(one.metrics[metric]) for one in singly])
    for metric in ("caught", "refused"):
        if all(metric in one.metrics for one in singly):
            over(f"{metric}, by training", [number(one.metrics[metric]) for one in singly])


def over(name: str, values: list[float]) -> None:
    """Print the mean over trainings, with Student's interval."""
    mean = mean_figure(np.asarray(values))
    if mean.low is not None and mean.high is not None:
        print(f"    {name}: {mean:.3f} [{mean.low:.3f}, {mean.high:.3f}] n {mean.n}", flush=True)


def number(value: Any) -> float:
    """Return a metric without its interval."""
    return float(value["value"] if isinstance(value, dict) else value)


def figure(value: Any) -> str:
    """Return a metric with its interval."""
    if not isinstance(value, dict):
        return f"{value:.3g}"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


STUDIES = {"tuned": tuned, "bits": bits, "sizes": sizes}


def main() -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", default=[*WAYS], choices=[*WAYS])
    parser.add_argument("--first", type=int, default=0, help="cell of bits to begin with")
    parser.add_argument("--size", choices=("small", "medium", "large"), default="small")
    options = parser.parse_args()
    torch.set_num_threads(1)
    STUDIES[options.study](options)


if __name__ == "__main__":
    main()
