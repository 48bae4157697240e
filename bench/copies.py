"""Copies of a classifier: beside ART's KnockoffNets, by queries, and by accounts.

    python -m venv art
    art/bin/pip install torch scikit-learn packaging pillow adversarial-robustness-toolbox==1.20.1
    python bench/copies.py beside --art art/bin/python   # one victim and pool for both sides
    python bench/copies.py queries                       # fidelity and bits by number of queries
    python bench/copies.py accounts                      # one budget an account, k accounts
    python bench/copies.py sizes                         # bits by number of the victim's weights
    python bench/copies.py writers                       # a language model imitated, and by counts

``beside``: for each seed a dense net is trained on half of the digits of scikit-learn (scene
digits). Both sides may ask it about the same 484 records, ART in all its ways with three ways to
train, of which it is given the best one afterwards, ours with the defaults. Fidelity is agreement
with the victim's labels on 397 records that neither side had. Intervals are Student's t at 95 %
over seeds; differences are paired by seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from scipy.stats import linregress, t

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Output, View
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.engine.run.meter import Meter, seal
from hartley.engine.run.play import deal, play
from hartley.games.extraction.fingerprint import ExtractionBrief

BUDGETS = (25, 50, 100, 200, 484)
SCORES = ("knockoff", "knockoff_adaptive", "distillation", "active_sampling")
LABELS = ("copycat", "jacobian_sampling", "adaptive_retraining")
PEER = Path(__file__).parent / "peers" / "art_knockoff.py"


def interval(values):
    """Mean and the ends of Student's t interval at 95 %."""
    values = np.asarray(values, dtype=float)
    reach = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - reach, values.mean() + reach


def written(values, digits=3):
    """A mean with its interval."""
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*interval(values), d=digits)


def victim_of(seed):
    """The scene of a seed, its deployed model, and that model as one that answers with logits."""
    scene = build("digits", {"seed": seed, "opened": True})
    model = scene.model
    logits = model.with_(query=lambda x: 2.0 + np.log(model.query(x)), output=Output.LOGITS)
    return scene, model, logits


def fidelity(name, model, scene, queries, seed, **params):
    """Agreement of the copy of one of our attacks with the victim on the test records."""
    attack = catalog.load("attack", name)
    view = View(model, ExtractionBrief(scene.extra["public"], model.classes, queries))
    meter = Meter(budget=queries)
    copy = attack(seal(view, attack.access, meter), np.random.default_rng(seed), **params).asset
    assert meter.queries <= queries
    x = scene.extra["test"].x
    return float((copy.query(x).argmax(1) == model.query(x).argmax(1)).mean())


def ours_on(seed, rows):
    """Add the fidelities of our attacks on the victim of a seed; return the scene and the model."""
    scene, model, logits = victim_of(seed)
    for queries in BUDGETS:
        for name in (*SCORES, *LABELS):
            row = fidelity(name, model, scene, queries, seed)
            rows.setdefault((name, queries), []).append(row)
        row = fidelity("distillation", logits, scene, queries, seed)
        rows.setdefault(("distillation, logits", queries), []).append(row)
    return scene, model


def theirs_on(art, keep, seed, scene, model, rows):
    """Add the fidelities of ART's ways on the same victim, pool and test records."""
    stored = Path(f"{keep}.{seed}.jsonl") if keep else None
    if stored is not None and stored.is_file():
        printed = stored.read_text()
    else:
        printed = asked_of_art(art, scene, model)
        if stored is not None:
            stored.write_text(printed)
    for line in printed.splitlines():
        row = json.loads(line) if line.startswith("{") else {}
        if "ask" in row:
            key = (row["ask"], row["queries"], row["epochs"], row["lr"])
            rows.setdefault(key, []).append(row["fidelity"])


def asked_of_art(art, scene, model):
    """What ART's script prints on the victim, the pool and the test records."""
    with tempfile.TemporaryDirectory() as folder:
        weights = dict(zip(("w0", "b0", "w1", "b1"), model.weights().values(), strict=True))
        public = scene.extra["public"]
        np.savez(
            Path(folder) / "given.npz",
            pool=public.x,
            pool_y=public.y,
            test=scene.extra["test"].x,
            budgets=BUDGETS,
            **weights,
        )
        words = [art, "-W", "ignore", str(PEER), folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr[-1500:]}")
    return done.stdout


def beside(args):
    """Both sides on the same victims."""
    ours, theirs = {}, {}
    for seed in range(args.first, args.first + args.seeds):
        scene, model = ours_on(seed, ours)
        if args.art:
            theirs_on(args.art, args.keep, seed, scene, model, theirs)
    print(f"ours, {args.seeds} seeds")
    for name in dict.fromkeys(name for name, _ in ours):
        cells = [f"{q}: {written(ours[name, q])}" for q in BUDGETS]
        print(f"  {name:22s} " + "  ".join(cells))
    if theirs:
        compared(ours, theirs)


def compared(ours, theirs):
    """Print ART's fidelities, and ours less its best one of all."""
    print("ART, best of its ways to train at each number of queries")
    for ask in dict.fromkeys(ask for ask, *_ in theirs):
        cells = []
        for q in BUDGETS:
            rows = {k: v for k, v in theirs.items() if k[:2] == (ask, q)}
            cells.append(f"{q}: {written(max(rows.values(), key=np.mean))}")
        print(f"  {ask:22s} " + "  ".join(cells))
    best = max(theirs, key=lambda key: np.mean(theirs[key]))
    print(f"ART's best: {best}: {written(theirs[best])}")
    for name in (*SCORES, "distillation, logits"):
        for q in BUDGETS:
            gap = np.asarray(ours[name, q]) - np.asarray(theirs[best])
            word = "≥ .95" if interval(ours[name, q])[1] >= 0.95 else "     "
            print(f"  {name} with {q}: {word}, less ART's best {written(gap)}")


def played(name, scene, table, **how):
    """One attack on a deal: bits a planted label, and metrics with their intervals."""
    attack = catalog.load("attack", name)
    started = time.process_time()
    trials = play(attack, scene, seed=0, dealt=table, **how)
    channel = measure(trials)
    rounds = trials.metrics_by_round
    low, high = channel.bits.lower or 0.0, channel.high
    return (
        f"{channel.bits.value:.2f} [{low:.2f}, {high:.2f}] bits"
        f" × {trials.metrics['symbols_per_query']:.3f} a query,"
        f" fidelity {written(rounds['fidelity'])}"
        f" at boundary {written(rounds['fidelity_at_boundary'])}"
        f" accuracy {written(rounds['accuracy'])}"
        f" queries {trials.metrics['queries']:.0f}, {time.process_time() - started:.1f} s"
    )


def queries(args):
    """Bits of planted labels and fidelity by number of queries."""
    scene = build(args.scene, {})
    for n in args.counts:
        rules = {"rounds": args.rounds, "queries": n}
        names = args.only or (*SCORES, *LABELS, "data_free_extraction", "surrogate")
        table = deal(catalog.load("attack", names[0]), scene, seed=0, params=rules)
        for name in names:
            print(f"{n:5d} {name:22s} {played(name, scene, table)}", flush=True)


def accounts(args):
    """One budget an account: an attacker with one account, with k, and with k that share it."""
    bare = build(args.scene, {})
    for name in args.only or ("distillation", "jacobian_sampling"):
        attack = catalog.load("attack", name)
        for k, budget in ((1, None), (10, None), (1, False), (10, False), (10, True)):
            params = {"queries": args.budget, "shared": bool(budget)}
            scene = bare
            if budget is not None:
                scene = defended(bare, "query_budget", params)
            rules = {"rounds": args.rounds, "queries": 10 * args.budget, "accounts": k}
            table = deal(attack, scene, seed=0, params=rules)
            for who, undefended in (("static", bare), ("adaptive", None)):
                if budget is None and who == "adaptive":
                    continue
                words = {None: "no budget", False: "a budget each", True: "a shared budget"}
                line = played(name, scene, table, undefended=undefended)
                print(f"{name:18s} k={k:2d} {words[budget]:15s} {who:8s} {line}", flush=True)


SIZES = (8, 32, 128, 512, 2048)
"""Hidden units of the victims of ``sizes``; a thief's copy has as many as it always has."""


def sizes(args):
    """Bits of planted labels by the size of the victim, and how they change with it."""
    shares = {}
    for hidden in SIZES:
        scene = build(args.scene, {"hidden": hidden})
        inputs = int(np.prod(scene.train.x.shape[1:]))
        weights = (inputs + 1) * hidden + (hidden + 1) * scene.model.classes
        for n in args.counts:
            rules = {"rounds": args.rounds, "queries": n}
            names = args.only or ("distillation", "surrogate")
            table = deal(catalog.load("attack", names[0]), scene, seed=0, params=rules)
            for name in names:
                trials = play(catalog.load("attack", name), scene, seed=0, dealt=table)
                channel, rows = measure(trials), trials.metrics_by_round
                low, high = channel.bits.lower or 0.0, channel.high
                print(
                    f"{hidden} units, {weights:,} weights, {n} queries, {name}: "
                    f"{channel.bits.value:.2f} [{low:.2f}, {high:.2f}] bits a label, n {channel.n}"
                    f" × {trials.metrics.get('symbols_per_query', 0):.3f} a query, "
                    f"fidelity {written(rows['fidelity'])}, "
                    f"victims carry {written(rows['victim_carries'])}",
                    flush=True,
                )
                right = trials.truth == trials.guess
                each = [right[trials.cluster == k].mean() for k in np.unique(trials.cluster)]
                shares.setdefault((name, n), []).append((weights, each))
    for (name, n), by_size in shares.items():
        x = np.concatenate([[np.log10(w)] * len(each) for w, each in by_size])
        line = linregress(x, np.concatenate([each for _, each in by_size]))
        reach = t.ppf(0.975, len(x) - 2) * line.stderr
        print(
            f"{name}, {n} queries: share of labels read at ten times the weights "
            f"{line.slope:+.3f} [{line.slope - reach:+.3f}, {line.slope + reach:+.3f}], "
            f"n {len(x)} victims"
        )


def writers(args):
    """A language model that writes, imitated by a transformer and by counts of pairs of tokens."""
    scene = build("novels", {})
    attack = catalog.load("attack", "generator_imitation")
    rules = {"rounds": args.rounds, "queries": max(args.counts)}
    table = deal(attack, scene, seed=0, params=rules)
    for n in args.counts:
        for student in ("transformer", "counts"):
            params = {"queries": n, "student": student}
            trials = play(attack, scene, seed=0, dealt=table, params=params)
            channel, rows = measure(trials), trials.metrics_by_round
            print(
                f"{n:5d} {student:12s} {channel.bits.value:.2f} [{channel.bits.lower or 0:.2f}, "
                f"{channel.high:.2f}] bits of 2, n {channel.n}; "
                f"fidelity {written(rows['fidelity'])}, "
                f"of another model {written(rows['baseline'])}; "
                f"victims carry {written(rows['victim_carries'])}",
                flush=True,
            )


def main():
    """Run one comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("beside", "queries", "accounts", "sizes", "writers"))
    parser.add_argument("--art", help="the Python of an environment with ART")
    parser.add_argument("--keep", help="begins the names of files that ART's rows are kept in")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--scene", default="digits")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 484, 1000])
    parser.add_argument("--only", nargs="+", help="attacks")
    parser.add_argument("--budget", type=int, default=40, help="records an account")
    args = parser.parse_args()
    ways = {
        "beside": beside,
        "queries": queries,
        "accounts": accounts,
        "sizes": sizes,
        "writers": writers,
    }
    ways[args.what](args)


if __name__ == "__main__":
    main()
