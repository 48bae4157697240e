"""Evasion beside torchattacks and foolbox, and published claims: ours with interval, verdict.

    PYTHON bench/evasion.py speed         # PGD and APGD: seconds and robust accuracy, in one run
    PYTHON bench/evasion.py borders       # FAB and HopSkipJump: robust accuracy and seconds
    PYTHON bench/evasion.py worst_case    # R14: AutoAttack's worst case is never above PGD
    PYTHON bench/evasion.py certificate   # no attack beats a certificate, on at least 1,000 records
    PYTHON bench/evasion.py links         # flips of links, without and behind a defense

PYTHON is one that has torchattacks 3.5.1 and foolbox 3.3.4 beside Hartley (``speed``,
``borders``, ``worst_case``; torchattacks asks for an old version of requests:
``pip install --no-deps``).

All tools attack the same nets of the Fashion-MNIST scene on the same records at the same budget and
number of steps, in turns; seconds are processor seconds of one thread, the least of the turns. Ours
are those of ``hartley.play``, with counting, checks and the judge's questions. A net that was
trained plainly and one that was trained adversarially: on the first nearly all records break at
once, which ours uses and the others do not; on the second most do not break. Starts are random:
robust accuracies within half a point count as equal.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from hartley import catalog
from hartley.channel.bounds.degenerate_intervals import share_interval
from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.jailbreak.evasion import rules_of
from hartley.scenes.digits import digits
from hartley.scenes.fashion import fashion
from hartley.scenes.synsets import synsets
from hartley.scenes.wordnet import wordnet

torch.set_num_threads(1)
SCENES = ("digits", "fashion", "synsets", "wordnet")
STEPS = {"pgd": 40, "apgd": 100}


def nets(arguments: argparse.Namespace) -> dict[str, Scene]:
    """The scene with a net that was trained plainly, and with one trained adversarially."""
    scene = fashion(opened=True)
    if arguments.net == "plain":
        return {"plain": scene}
    hard = defended(scene, catalog.load("defense", "adversarial_training"), {"steps": 3})
    both = {"plain": scene, "adversarially trained": hard}
    return both if arguments.net == "both" else {"adversarially trained": hard}


def module_of(scene: Scene) -> torch.nn.Module:
    """The torch module of a scene's deployed model, from its weights."""
    net, weights = scene.training.net, scene.model.weights()
    return net.module({name: weights[name] for name in net.shapes}).eval()


def records_of(scene: Scene, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n test records, in the order of the only round that ours plays."""
    test = scene.extra["test"]
    return np.asarray(test.x[:n], np.float32), test.labels[:n]


def ours(scene: Scene, name: str, n: int, params: dict[str, Any], norm: str) -> tuple[float, float]:
    """Play an attack on the deployed model and n records; return seconds and robust accuracy."""
    x, y = records_of(scene, n)
    test = replace(scene.extra["test"], x=x, y=y)
    alone = replace(scene, fit=None, extra={**scene.extra, "test": test})
    began = time.process_time()
    trials = play(
        catalog.load("attack", name), alone, params=params,
        game_params={"rounds": 1, "records": n, "norm": norm, "epsilon": EPSILON[norm]},
    )  # fmt: skip
    return time.process_time() - began, float(trials.metrics["robust_accuracy"])


EPSILON = {"linf": 0.1, "l2": 1.0}


def theirs(scene: Scene, n: int, norm: str) -> dict[str, dict[str, Callable[[], torch.Tensor]]]:
    """Attacks of the peers by name and tool; each returns the changed records."""
    import foolbox
    import torchattacks

    module, eps = module_of(scene), EPSILON[norm]
    x, y = (torch.tensor(part) for part in records_of(scene, n))
    wrapped = foolbox.PyTorchModel(module, bounds=(0, 1))
    steps, step = STEPS["pgd"], 2.5 / STEPS["pgd"]
    kinds = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    fool = kinds[norm](rel_stepsize=step, steps=steps, random_start=True)
    if norm == "linf":
        pgd = torchattacks.PGD(module, eps=eps, alpha=step * eps, steps=steps, random_start=True)
    else:
        pgd = torchattacks.PGDL2(module, eps=eps, alpha=step * eps, steps=steps, random_start=True)
    word = {"linf": "Linf", "l2": "L2"}[norm]
    apgd = torchattacks.APGD(module, norm=word, eps=eps, steps=STEPS["apgd"], loss="ce", seed=0)
    return {
        "pgd": {
            "torchattacks": lambda: pgd(x, y),
            "foolbox": lambda: fool(wrapped, x, y, epsilons=eps)[1],
        },
        "apgd": {"torchattacks": lambda: apgd(x, y)},
    }


def judged(scene: Scene, n: int, changed: torch.Tensor, norm: str) -> float:
    """Robust accuracy of changed records by our judge's rules."""
    x, y = records_of(scene, n)
    rules = rules_of(scene).with_(norm, EPSILON[norm])
    allowed = rules.allows(x, changed.detach().numpy())
    right = scene.model.query(changed.detach().numpy()).argmax(1) == y
    clean = scene.model.query(x).argmax(1) == y
    return float((clean & (right | ~allowed)).mean())


def speed(arguments: argparse.Namespace) -> None:
    """Print seconds and robust accuracies side by side."""
    n = arguments.records
    for kind, scene in nets(arguments).items():
        for norm in EPSILON:
            peers = theirs(scene, n, norm)
            for name, tools in peers.items():
                took: dict[str, list[float]] = {}
                robust: dict[str, list[float]] = {}
                for _ in range(arguments.turns):
                    seconds, share = ours(scene, name, n, {"steps": STEPS[name]}, norm)
                    took.setdefault("ours", []).append(seconds)
                    robust.setdefault("ours", []).append(share)
                    for tool, attack in tools.items():
                        began = time.process_time()
                        changed = attack()
                        took.setdefault(tool, []).append(time.process_time() - began)
                        robust.setdefault(tool, []).append(judged(scene, n, changed, norm))
                best = {tool: min(seconds) for tool, seconds in took.items()}
                words = ", ".join(
                    f"{tool} {best[tool]:.2f} s, {np.mean(robust[tool]):.3f}" for tool in best
                )
                ratio = min(best[tool] / best["ours"] for tool in best if tool != "ours")
                equal = np.mean(robust["ours"]) <= min(map(np.mean, robust.values())) + 0.005
                verdict = "holds" if ratio >= 1 and equal else "does not hold"
                print(
                    f"{kind:22s} {norm:4s} {name:4s} {STEPS[name]} steps, n {n}: {words}; the "
                    f"fastest other takes {ratio:.2f} times as long: {verdict}",
                    flush=True,
                )


def borders(arguments: argparse.Namespace) -> None:
    """FAB-T beside torchattacks', and HopSkipJump beside foolbox's with as many questions."""

    n = arguments.records
    for kind, scene in nets(arguments).items():
        for norm in EPSILON:
            for name, tool in (("fab", "torchattacks"), ("hop_skip_jump", "foolbox")):
                share, seconds, each = border(scene, n, norm, tool)
                fewer = {"steps": FAB_STEPS} if name == "fab" else {"queries": each}
                spent, own = ours(scene, name, n, fewer, norm)
                print(
                    f"{kind:22s} {norm:4s} {name}: ours {interval(np.arange(n) < round(own * n))}, "
                    f"{spent:.1f} s; {tool} {interval(np.arange(n) < round(share * n))}, "
                    f"{seconds:.1f} s, {each} records asked for each; not above it: "
                    + ("holds" if own <= share + 0.005 else "does not hold"),
                    flush=True,
                )


def border(scene: Scene, n: int, norm: str, tool: str) -> tuple[float, float, int]:
    """Return a peer's robust accuracy, its seconds, and how often it asked about each record."""
    import foolbox
    import torchattacks

    module, asked = module_of(scene), [0]
    x, y = (torch.tensor(part) for part in records_of(scene, n))

    def count(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        asked[0] += len(given[0])

    module.register_forward_pre_hook(count)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - foolbox draws from it
    began = time.process_time()
    if tool == "torchattacks":
        changed = torchattacks.FAB(
            module, norm={"linf": "Linf", "l2": "L2"}[norm], eps=EPSILON[norm], steps=FAB_STEPS,
            n_restarts=1, seed=0, multi_targeted=True, n_classes=10,
        )(x, y)  # fmt: skip
    else:
        wrapped = foolbox.PyTorchModel(module, bounds=(0, 1))
        start = foolbox.attacks.DatasetAttack()  # its noise is no adversary of some records
        start.feed(wrapped, x)
        walk = foolbox.attacks.HopSkipJumpAttack(
            start, steps=WALKS, initial_gradient_eval_steps=100, constraint=norm
        )
        changed = walk(wrapped, x, y, epsilons=EPSILON[norm])[1]
    seconds, each = time.process_time() - began, asked[0] // n
    return judged(scene, n, changed.detach().clamp(0, 1), norm), seconds, each


FAB_STEPS, WALKS = 20, 8
"""Steps of FAB towards each class, and of foolbox's walk."""


def interval(right: np.ndarray) -> str:
    """A share with its Clopper–Pearson interval and n."""
    share = share_interval(right, None, 0.05)
    return f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] (n {len(right)})"


def worst_case(arguments: argparse.Namespace) -> None:
    """R14: the worst case of several attacks is at most that of PGD; beside AutoAttack itself."""
    import torchattacks

    n = arguments.records
    for kind, scene in nets(arguments).items():
        x, y = (torch.tensor(part) for part in records_of(scene, n))
        shares = {}
        for name, params in (("pgd", {}), ("auto_attack", {})):
            seconds, share = ours(scene, name, n, params, "linf")
            shares[name] = np.arange(n) < round(share * n)
            print(f"{kind:22s} {name}: {interval(shares[name])}, {seconds:.1f} s", flush=True)
        began = time.process_time()
        attack = torchattacks.AutoAttack(module_of(scene), eps=0.1, n_classes=10, seed=0)
        share = judged(scene, n, attack(x, y), "linf")
        seconds = time.process_time() - began
        print(f"{kind:22s} torchattacks.AutoAttack: {interval(np.arange(n) < round(share * n))}, "
              f"{seconds:.1f} s")  # fmt: skip
        gap = shares["auto_attack"].mean() - shares["pgd"].mean()
        print(f"R14 {kind}: the worst case is {-100 * gap:.1f} points below PGD: "
              + ("holds" if gap <= 0 else "does not hold"), flush=True)  # fmt: skip


def certificate(arguments: argparse.Namespace) -> None:
    """Attack smoothed victims and count proved classes that changed."""
    scene = {"digits": digits, "fashion": fashion}[arguments.scene](opened=True)
    noise = {"sigma": 0.25 if arguments.scene == "digits" else 0.5}
    after = defended(scene, catalog.load("defense", "randomized_smoothing"), noise)
    rounds = max(1, arguments.records // 128)
    size = {"rounds": rounds, "records": 128, "norm": "l2", "epsilon": arguments.epsilon}
    table = deal(catalog.load("attack", "pgd"), after, seed=0, params=size)
    settings = {
        "fgsm": {"draws": 8},
        "pgd": {"steps": 20, "draws": 8},
        "apgd": {"steps": 30, "draws": 8},
        "fab": {"steps": 10, "targets": 3, "draws": 4},
        "square": {"queries": 60},
        "hop_skip_jump": {"queries": 200, "probe": 0.3},
        "auto_attack": {"steps": 15, "targets": 2, "draws": 4, "queries": 0},
    }
    beaten = 0.0
    for name, params in settings.items():
        metrics = play(catalog.load("attack", name), after, dealt=table, params=params).metrics
        beaten += metrics.get("contradicted", 0.0)
        print(
            f"{name}: clean {metrics['clean_accuracy']:.3f}, robust "
            f"{metrics['robust_accuracy']:.3f}, certified {metrics['certified_accuracy']:.3f}, "
            f"contradicted {metrics.get('contradicted', 0.0):.5f} "
            f"(n {128 * rounds}, {rounds} victims)",
            flush=True,
        )
    print("no certificate is beaten: " + ("holds" if not beaten else "does not hold"))


def links(arguments: argparse.Namespace) -> None:
    """Play flips of links on graphs: no defense, a static attacker, and one who knows of it.

    The one who knows of ``jaccard`` makes links between alike nodes (``alike`` 0.35); the one who
    knows of ``link_smoothing`` ascends means over its noise.
    """
    scene = {"synsets": synsets, "wordnet": wordnet}[arguments.scene](opened=True)
    names = ("jaccard", "link_smoothing")
    behind = {name: defended(scene, catalog.load("defense", name)) for name in names}
    size = {"rounds": 8, "records": 32}
    for name in ("link_search", "link_gradient", "link_pgd"):
        attack = catalog.load("attack", name)
        plays: list[tuple[str, Scene, str | None, dict[str, Any]]] = [("none", scene, None, {})]
        if name == "link_search":
            plays.append(("none, random", scene, None, {"blind": True}))
        for label, after in behind.items():
            knows = {"alike": 0.35} if label == "jaccard" else {}
            plays += [(f"{label}, static", after, "static", {})]
            plays += [(f"{label}, adaptive", after, "adaptive", knows)]
        for label, after, knowledge, params in plays:
            played = play(
                attack, after, params=params, game_params=size, seed=0, knowledge=knowledge,
                undefended=scene if knowledge == "static" else None,
            )  # fmt: skip
            metrics, bits = measure(played).metrics, measure(played).bits
            shares = "; ".join(
                f"{m} {v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]"
                for m, v in metrics.items()
                if m in {"clean_accuracy", "robust_accuracy", "contradicted"}
            )
            print(f"{arguments.scene} {name} {label}: {shares}; bits {bits.value:.3f}, "
                  f"certified {bits.lower or 0:.3f}", flush=True)  # fmt: skip


PARTS = {f.__name__: f for f in (speed, borders, worst_case, certificate, links)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epsilon", type=float, default=0.5, help="L2 budget of certificate")
    parser.add_argument("--net", choices=("both", "plain", "adversarial"), default="both")
    parser.add_argument("--scene", choices=SCENES, default="digits")
    given = parser.parse_args()
    PARTS[given.part](given)
