"""DP-SGD of a small language model: what a text leaks under it, and what it costs.

    python bench/language_privacy.py [--pretrained 4] [--records 2048] [--victims 2] [--lira 4]

On ``novels``: passages of one novel, no two of which share a run of eight tokens, members by the
auditor's coin; a network trained from scratch on half of them (or, ``--pretrained``, from one that
has read the rest of the novel). A passage is a record: its whole gradient is clipped, batches are
Poisson samples, Opacus accounts (δ = 1e-5). At each ε, beside the same training without privacy:

* utility: nats a token of 400 unread passages, and perplexity, against a network that never reads
  (counts of single tokens, add-one), which is what learning has to beat;
* membership: AUC and bits [certified, upper] of the likelihood and of Min-K (with ``--lira N`` also
  of LiRA by N references, static and adaptive), under the accountant's ceiling of bits;
* certified ε̂, the largest of these attacks, claimed to be at most ε;
* exposure of canaries that stand eight times each: ε speaks of one record, so that no ceiling is
  claimed for these; what happens to them is reported.

Claims: ε̂ ≤ ε and bits ≤ ceiling (the guarantee); at least half of the bits closed; at most 0.1 nat
a token lost. About 4.5 minutes of processor time the first time, one when all is in the cache;
one ε more takes 50 s.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.scenes.novels import novels

EPSILONS = (8.0, 4.0, 1.0)
EXPOSED = (None, 8.0, 1.0)
READING = ("loss_threshold", "min_k")
STEPS, BATCH = 40, 64
"""Forty steps of 64 texts: at one cost, more texts a step beat more passes (less noise a text)."""
CHEAP, HALF = 0.1, 0.5


def load(name: str):
    return catalog.load("attack", name)


def interval(figure) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def told(channel) -> str:
    high = "–" if channel.high is None else f"{channel.high:.3f}"
    return f"{channel.bits.value:.4f} [{channel.bits.lower or 0.0:.3f}, {high}]"


def single_tokens(scene) -> float:
    """Nats a token of a model that knows how often each token comes, and nothing else."""
    count = np.bincount(scene.train.x[scene.train.x >= 0], minlength=scene.model.classes) + 1
    rows = scene.extra["test"].x[:, 1:]
    return float(np.log(count / count.sum())[rows[rows >= 0]].mean())


def members(bare, scene, victims: int, references: int):
    """Channels of every attack: {name: channel}."""
    found = {}
    dealt = deal(load("min_k"), scene, seed=0, params={"rounds": victims})
    for name in READING:
        found[name] = measure(play(load(name), scene, seed=0, dealt=dealt))
    if references:
        params = {"references": references}
        for undefended in (bare, None) if scene is not bare else (None,):
            heard = play(
                load("lira"), scene, seed=0, params=params, dealt=dealt, undefended=undefended
            )
            found[f"lira {'static' if undefended else 'adaptive'}"] = measure(heard)
    return found


def line(bare, scene, args) -> tuple[float, dict]:
    """Print utility and membership of one scene; return both."""
    nats = scene.utility(scene)["nats_per_token"]
    print(f"  utility {nats:.3f} [{nats.low:.3f}, {nats.high:.3f}] nats a token, perplexity "
          f"{np.exp(-nats):.0f}, n {nats.n}")  # fmt: skip
    found = members(bare, scene, args.victims, args.lira)
    for name, channel in found.items():
        print(f"  {name:15s} AUC {interval(channel.metrics['auc'])}  bits {told(channel)} of at "
              f"most {channel.ceiling.value:.3f}  ε̂ {float(channel.metrics['epsilon_lower']):.3f}  "
              f"n {channel.n}", flush=True)  # fmt: skip
    return float(nats), found


def exposed(scene) -> None:
    usual = measure(play(load("exposure"), scene, seed=0, game_params={"rounds": 1})).metrics
    print(f"  canaries ×8: exposure {interval(usual['exposure'])} of {usual['exposure_max']:.2f}, "
          f"of a random number {usual['exposure_null']:.2f}, n {usual['exposure']['n']}",
          flush=True)  # fmt: skip


def private(bare, epsilon: float, args):
    rate = BATCH / len(bare.train)
    settings = {"epsilon": epsilon, "rate": rate, "epochs": STEPS * rate, "lr": args.lr}
    return defended(bare, "dp_sgd", settings, 0)


def judge(epsilon: float, before, after, floor: float) -> None:
    (had, open_), (has, closed) = before, after
    certified = max(float(c.metrics["epsilon_lower"]) for c in closed.values())
    under = all((c.bits.lower or 0.0) <= c.ceiling.value for c in closed.values())
    kept = certified <= epsilon and under
    shares = max(c.bits.value for c in closed.values()) / max(c.bits.value for c in open_.values())
    print(f"ours:  ε̂ {certified:.3f} ≤ ε = {epsilon:g}, bits under the ceiling → "
          f"{'holds' if kept else 'DOES NOT HOLD'}")  # fmt: skip
    shut, lost = 1 - shares, had - has
    print(f"ours:  {shut:.0%} of the bits closed → {'holds' if shut >= HALF else 'does not hold'}; "
          f"{lost:+.3f} nat a token lost → {'holds' if lost <= CHEAP else 'does not hold'} "
          f"({has - floor:+.3f} over single tokens)")  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--records", type=int, default=2048)
    ask.add_argument("--epochs", type=int, default=4, help="of the training without privacy")
    ask.add_argument("--pretrained", type=int, default=0, help="passes over the rest of the novel")
    ask.add_argument("--victims", type=int, default=2)
    ask.add_argument("--lira", type=int, default=0, help="references of LiRA; 0 leaves it out")
    ask.add_argument("--lr", type=float, default=0.0, help="of the private training")
    ask.add_argument("--epsilon", type=float, nargs="+", default=EPSILONS)
    args = ask.parse_args()
    args.lr = args.lr or (1e-3 if args.pretrained else 1e-2)
    rate = 1e-3 if args.pretrained else 2e-3
    began = time.process_time()
    bare = novels(records=args.records, epochs=args.epochs, pretrained=args.pretrained, rate=rate)
    floor = single_tokens(bare)
    base = f"{args.pretrained} passes before" if args.pretrained else "from scratch"
    print(f"novels, {base}, {len(bare.train)} texts; single tokens: {floor:.3f} nats a token, "
          f"perplexity {np.exp(-floor):.0f}")  # fmt: skip
    if args.pretrained:
        start = -novels(records=args.records, epochs=0, pretrained=args.pretrained).facts[
            "test nats/token"
        ]
        print(f"  before any of the texts: {start:.3f} nats a token, "
              f"perplexity {np.exp(-start):.0f}")  # fmt: skip
    print("\nwithout privacy")
    before = line(bare, bare, args)
    exposed(bare)
    print("\nclaim: the certified ε̂ is at most the accountant's ε and the bits lie under its")
    print(f"ceiling; {HALF:.0%} of the bits and more are closed, at most {CHEAP} nat a token lost")
    for epsilon in args.epsilon:
        scene = private(bare, epsilon, args)
        print(f"\nε = {epsilon:g}, noise {scene.facts['noise multiplier']:.2f} × clip")
        after = line(bare, scene, args)
        if epsilon in EXPOSED:
            exposed(scene)
        judge(epsilon, before, after, floor)
    print(f"\n{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
