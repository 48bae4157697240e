"""The fleet beside a plain PyTorch loop: equal epochs and batch, one thread, one run.

    python bench/fleet.py [--quick] [--only dense|conv|workers|lira|budget]

Prints claim, figures, verdict. The plain loop is what a textbook writes: ``nn.Sequential``, Adam as
it comes, one random batch after another. The turns of the two sides alternate, so that a busy
machine slows both; ratios of processor time are the figure (wall time for workers).
``budget`` trains what the membership class asks for on real scenes: 256 reference models of digits
within 45 s, 64 of Fashion-MNIST within 6 minutes with at least 85 % of the test records right and a
gap to the training records (about 3 CPU-minutes).
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley.kit import nets
from hartley.kit.fleet import Training, train
from hartley.kit.fleet.sequential_training import native_bfloat16


def verdict(name: str, claim: float, slow: list[float], fast: list[float], more: str = "") -> None:
    """The best turn of each side: on a busy machine every other turn measures the neighbours."""
    found = min(slow) / min(fast)
    print(
        f"{name:42s} {found:5.2f}× (claim ≥ {claim}×; {min(slow):.3f} s against "
        f"{min(fast):.3f} s a model)  {'holds' if found >= claim else 'FAILS'}  {more}",
        flush=True,
    )


def digits():
    from hartley.data.vision import digits as load

    data = load()
    return data.x[:900], data.y[:900]


def pictures(n: int):
    """28×28 records: the speed does not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.random((n, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, n)


def against_plain(net, x, y, include, recipe, *, plain: int, turns: int):
    """Processor seconds a model, a turn each; the plain loop trains only ``plain`` of them."""
    slow, fast = [], []
    for _ in range(turns):
        clock = time.process_time()
        train(net, x, y, include[:plain], recipe, strategy="plain")
        slow.append((time.process_time() - clock) / plain)
        clock = time.process_time()
        train(net, x, y, include, recipe)
        fast.append((time.process_time() - clock) / len(include))
    return slow, fast


def dense(turns: int) -> None:
    x, y = digits()
    include = np.random.default_rng(0).random((64, len(x))) < 0.5
    net, recipe = nets.dense((1, 8, 8), 10, (128,)), Training(epochs=10, batch=32)
    train(net, x, y, include[:1], recipe, strategy="plain")
    both = against_plain(net, x, y, include, recipe, plain=8, turns=turns)
    verdict("64 dense nets 64-128-10, batched", 3.5, *both)


def conv(turns: int) -> None:
    x, y = pictures(1024)
    include = np.ones((2, len(x)), dtype=bool)
    for channels, batch in (((16, 32), 64), ((16, 32), 128), ((32, 64), 64), ((32, 64), 128)):
        net = nets.conv((1, 28, 28), 10, channels)
        recipe = Training(epochs=1, batch=batch)
        train(net, x, y, include[:1], recipe, strategy="plain")
        train(net, x, y, include[:1], recipe)
        both = against_plain(net, x, y, include, recipe, plain=2, turns=2 * turns)
        note = f"bfloat16 in hardware: {native_bfloat16('cpu')}"
        verdict(f"conv net {channels} on 28×28, batch {batch}", 1.8, *both, note)


def workers(turns: int) -> None:
    """Wall time of one job of 40 s and more, with and without the start of the processes."""
    x, y = pictures(4000)
    include = np.ones((32, len(x)), dtype=bool)
    net, recipe = nets.conv((1, 28, 28), 10), Training(epochs=15, batch=64)
    wall: dict[int, list[float]] = {1: [], 2: []}
    start: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, turns // 3)):
        for count, taken in wall.items():
            clock = time.perf_counter()
            train(net, x, y, include, recipe, workers=count)
            taken.append((time.perf_counter() - clock) / len(include))
            clock = time.perf_counter()  # models without records: all but the training
            train(net, x, y, np.zeros_like(include), recipe, workers=count)
            start[count].append((time.perf_counter() - clock) / len(include))
    note = f"wall; load average {os.getloadavg()[0]:.1f} at the end"
    verdict("two worker processes, start included", 1.7, wall[1], wall[2], note)
    one, two = min(wall[1]) - min(start[1]), min(wall[2]) - min(start[2])
    verdict("two worker processes, after their start", 1.7, [one], [two], note)


def lira() -> None:
    """LiRA's AUC with references from the fleet and from the plain loop, on the same victims."""
    from sklearn.metrics import roc_auc_score

    from hartley.attacks.model_to_data.membership.lira import lira as attack
    from hartley.engine.run.play import deal, play
    from hartley.scenes.digits import digits as scene_of

    scene = scene_of(records=600, epochs=40)
    pipeline, found = scene.training, {}
    for strategy in ("plain", "batched"):
        fit = pipeline.with_(strategy=strategy, cached=False).fit
        from dataclasses import replace

        one = replace(scene, model=replace(scene.model, fit=fit))
        dealt = deal(attack, one, seed=0, params={"rounds": 8})
        trials = play(attack, one, dealt=dealt, params={"references": 32})
        each = [
            roc_auc_score(trials.truth[trials.cluster == k], trials.guess[trials.cluster == k])
            for k in range(8)
        ]
        found[strategy] = np.mean(each), 1.96 * np.std(each, ddof=1) / np.sqrt(8)
    (a, half), (b, _) = found["plain"], found["batched"]
    print(
        f"LiRA AUC: plain {a:.4f} ± {half:.4f}, batched {b:.4f}  "
        f"{'equal within the interval' if abs(a - b) <= half else 'DIFFERENT'}"
    )


def lira_conv() -> None:
    """LiRA (online, one variance) on convolutional victims, references from either loop."""
    from sklearn.metrics import roc_auc_score

    x, y = digits()
    x, y, victims = x[:600], y[:600], 8
    include = np.random.default_rng(1).random((victims + 32, len(x))) < 0.5
    net, recipe = nets.conv((1, 8, 8), 10), Training(epochs=60, batch=32, lr=4e-3, anneal=True)
    found = {}
    said = {s: margins(train(net, x, y, include, recipe, strategy=s).query(x), y)
            for s in ("plain", "loop")}  # fmt: skip
    seen, refs = said["plain"][:victims], include[victims:]
    for strategy, answers in said.items():
        shadow, law = answers[victims:], []
        for kept in (refs, ~refs):
            mean = np.where(kept, shadow, 0).sum(0) / kept.sum(0)
            spread = np.sqrt(np.where(kept, (shadow - mean) ** 2, 0).sum() / kept.sum())
            law.append(-0.5 * ((seen - mean) / spread) ** 2 - np.log(spread))
        score = law[0] - law[1]
        each = [roc_auc_score(include[k], score[k]) for k in range(victims)]
        found[strategy] = np.mean(each), 1.96 * np.std(each, ddof=1) / np.sqrt(victims)
    (a, half), (b, _) = found["plain"], found["loop"]
    print(
        f"LiRA AUC, conv: plain {a:.4f} ± {half:.4f}, loop {b:.4f}  "
        f"{'equal within the interval' if abs(a - b) <= half else 'DIFFERENT'}"
    )


def budget(quick: bool) -> None:
    """References of two scenes, cold, on one core: seconds, accuracies, memory."""
    import resource

    from hartley.scenes.digits import digits as small
    from hartley.scenes.fashion import fashion as large

    for scene_of, count, most in ((small, 256, 45.0), (large, 64, 360.0)):
        scene = scene_of()
        pool, test = scene.extra["pool"], scene.extra["test"]
        include = np.random.default_rng(0).random((count // 4 if quick else count, len(pool))) < 0.5
        start, cpu = time.perf_counter(), time.process_time()
        fleet = scene.training.with_(cached=False).fit(pool, include, 0)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        right = fleet.query(test.x).argmax(2) == test.y
        own = fleet.query(pool.x).argmax(2) == pool.y
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        whole = cpu * count / len(include)
        each = right.mean(1)
        spread = 1.96 * each.std(ddof=1) / len(each) ** 0.5
        print(
            f"{len(include)} references of {scene.name}: {wall:.1f} s wall, {cpu:.1f} s CPU "
            f"(claim: {count} in {most:.0f} s), test accuracy {each.mean():.3f} ± {spread:.3f}, "
            f"members {own[include].mean():.3f}, others {own[~include].mean():.3f}, "
            f"{held:.2f} GiB  {'holds' if whole <= most else 'FAILS'}",
            flush=True,
        )


def margins(logits, y):
    """Log-odds (K, n) of the true label."""
    own = np.take_along_axis(logits, y[None, :, None], 2)[..., 0]
    rest = np.where(np.eye(logits.shape[2], dtype=bool)[y], -np.inf, logits)
    return own - np.logaddexp.reduce(rest, axis=2)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="fewer turns")
    ask.add_argument("--only", choices=["dense", "conv", "workers", "lira", "budget"])
    args = ask.parse_args()
    import torch

    torch.set_num_threads(1)
    turns = 3 if args.quick else 7
    for name, run in (("dense", dense), ("conv", conv), ("workers", workers)):
        if args.only in {None, name}:
            run(turns)
    if args.only in {None, "lira"}:
        lira()
        lira_conv()
    if args.only in {None, "budget"}:
        budget(args.quick)


if __name__ == "__main__":
    main()
