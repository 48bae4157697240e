"""The scan of a data set: does it hold its rate of false alarms, and what does it find?

    python bench/scan.py dead     # clean records, re-split: flagged at most at the declared rate
    python bench/scan.py live     # poison planted into a real CSV, .npz and folder of pictures

dead   Records and trusted records are drawn anew from one data set, without poison: the share of
       records that are flagged must be at most the declared rate, and at most 5 % of splits may
       have more than the ``likely`` number. *Even*: the interval has the declared rate, which the
       scan means to use up. Without trusted records the share is the rate.
live   Poison of an attack in the user's file, at several counts: the share of it that is flagged,
       by all detectors together and by each, mean and interval over draws of poison.

Data sets: the census (pack adult) as a CSV with words and numbers, digits as .npz, Fashion-MNIST
(pack) as a folder of PNG files. Intervals are Student's over splits or draws, at 95 %.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from hartley import catalog
from hartley.core import Data, View
from hartley.data import vision
from hartley.data.packs import locate
from hartley.data.tabular import FIELDS
from hartley.engine.build_scene import build
from hartley.games.poisoning.poisoning import PoisoningBrief
from hartley.games.poisoning.suspect_records import SuspectRecords, likely
from hartley.games.poisoning.suspicion import scanned

SETS = ("census", "digits", "pictures")
ATTACKS = ("badnets", "blended", "label_flip")


def written(name: str, folder: Path, size: int) -> dict[str, str]:
    """Write a data set as a user has it; return the settings of its scan."""
    rng = np.random.default_rng(0)
    if name == "census":
        lines = [
            [cell.strip() for cell in line.split(",")]
            for line in next(locate("adult").rglob("adult.data")).read_text().splitlines()
            if line.strip()
        ]
        place = folder / "census.csv"
        with place.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*FIELDS, "income"])
            writer.writerows(lines[k] for k in rng.permutation(len(lines))[:size])
        return {"records": str(place), "target": "income"}
    if name == "digits":
        data = vision.digits()
        rows = rng.permutation(len(data))[:size]
        np.savez(folder / "digits.npz", x=data.x[rows], y=data.labels[rows])
        return {"records": str(folder / "digits.npz")}
    from PIL import Image

    data = vision.fashion()[0]
    for k in rng.permutation(len(data))[:size]:
        place = folder / "pictures" / str(data.labels[k])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * data.x[k, 0]).astype(np.uint8)).save(place / f"{k:05}.png")
    return {"records": str(folder / "pictures")}


def read(name: str, folder: Path, size: int) -> SuspectRecords:
    """Read it through the door of the command line."""
    part = build("own_records", {**written(name, folder, size), "seed": 0}).part(SuspectRecords)
    # What is trained here is asked for once.
    return replace(part, training=part.training.with_(cached=False))


def some(data: Data, rows: np.ndarray, name: str) -> Data:
    return replace(data, name=name, x=data.x[rows], y=data.labels[rows])


def limits(values: Sequence[float]) -> tuple[float, float]:
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else 0.0
    return max(0.0, mean - half), min(1.0, mean + half)


def interval(values: Sequence[float], scale: float = 100.0) -> str:
    low, high = limits(values)
    return f"{scale * float(np.mean(values)):.2f} [{scale * low:.2f}, {scale * high:.2f}]"


def dead(arguments: argparse.Namespace) -> None:
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            part = read(name, Path(folder), 3_000)
        n, trusted = arguments.records, arguments.trusted
        for with_trusted in (True, False):
            started = time.process_time()
            shares: dict[float, list[float]] = {rate: [] for rate in arguments.rates}
            over = dict.fromkeys(arguments.rates, 0)
            for split in range(arguments.splits):
                rows = np.random.default_rng(split).permutation(len(part.records))
                records = some(part.records, rows[:n], "records")
                clean = some(part.records, rows[n : n + trusted], "clean")
                (suspicion,) = scanned(
                    part.training, part.training.fit, records, np.ones((1, n), bool), split,
                    clean=clean if with_trusted else None,
                )  # fmt: skip
                for rate in arguments.rates:
                    flagged = int(suspicion.flagged(rate).sum())
                    shares[rate].append(flagged / n)
                    over[rate] += flagged > likely(n, suspicion.calibrating, rate)
            seconds = time.process_time() - started
            for rate in arguments.rates:
                end = stats.binomtest(over[rate], arguments.splits).proportion_ci(0.95)
                who = f"{trusted} trusted" if with_trusted else "none trusted"
                beyond = (
                    f"; more than the likely number in {over[rate]} of {arguments.splits} splits "
                    f"[{100 * end.low:.1f}, {100 * end.high:.1f}] %, claim ≤ 5 %"
                    if with_trusted
                    else ""
                )
                low, high = limits(shares[rate])
                verdict = (
                    "holds" if high <= rate + 1e-9 else "does not hold" if low > rate else "even"
                )
                print(
                    f"{name}: {n} clean records, {who}, declared {100 * rate:g} %: flagged "
                    f"{interval(shares[rate])} % over {arguments.splits} splits: {verdict}{beyond} "
                    f"({seconds:.0f} CPU-s)",
                    flush=True,
                )


def planted(attack: str, records: Data, spare: Data, count: int, seed: int) -> Data:
    """Return poison of an attack with one trigger and a random message."""
    rng = np.random.default_rng(seed)
    classes = int(records.labels.max()) + 1
    target = int(rng.integers(len(spare)))
    label = int((spare.labels[target] + rng.integers(1, classes)) % classes)
    brief = PoisoningBrief(some(spare, np.array([target]), "slot"), np.array([label]), classes,
                           count, 0.2)  # fmt: skip
    part = catalog.load("attack", attack)
    params = {p.name: p.default for p in part.parameters}
    outcome = part(View(source=spare, brief=brief), rng, **params)
    return outcome.asset


def live(arguments: argparse.Namespace) -> None:
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            part = read(name, Path(folder), 3_000)
        n, trusted, rate = arguments.records, arguments.trusted, arguments.rates[0]
        for attack in ATTACKS:
            for count in arguments.counts:
                together: dict[bool, list[float]] = {True: [], False: []}
                each: dict[str, list[float]] = {}
                excess = 0
                for draw in range(arguments.draws):
                    rng = np.random.default_rng(1000 + draw)
                    # The attacker has 300 records of their own.
                    rows = rng.permutation(len(part.records))
                    honest = some(part.records, rows[: n - count], "records")
                    clean = some(part.records, rows[n : n + trusted], "clean")
                    spare = some(part.records, rows[n + trusted :][:300], "spare")
                    poison = planted(attack, honest, spare, count, draw)
                    data = replace(
                        honest,
                        x=np.concatenate([honest.x, poison.x.astype(honest.x.dtype)]),
                        y=np.concatenate([honest.labels, poison.labels]),
                    )
                    bad = np.arange(len(data)) >= len(honest)
                    for with_trusted in (True, False):
                        (found,) = scanned(
                            part.training, part.training.fit, data,
                            np.ones((1, len(data)), bool), draw,
                            clean=clean if with_trusted else None,
                        )  # fmt: skip
                        flagged = found.flagged(rate)
                        together[with_trusted].append(float(flagged[bad].mean()))
                        if with_trusted:
                            excess += flagged.sum() > likely(len(data), found.calibrating, rate)
                            for detector, p in found.by.items():
                                each.setdefault(detector, []).append(float((p <= rate)[bad].mean()))
                alone = ", ".join(f"{k} {100 * np.mean(v):.0f}" for k, v in each.items())
                print(
                    f"{name}, {attack}, {count} of {n}, rate {100 * rate:g} %, {trusted} trusted: "
                    f"found {interval(together[True])} %, none trusted "
                    f"{interval(together[False])} %; more than chance explains in {excess} of "
                    f"{arguments.draws} draws; alone: {alone}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("dead", "live"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--records", type=int, default=800)
    parser.add_argument("--trusted", type=int, default=600)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.01, 0.05])
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--counts", nargs="+", type=int, default=[4, 16, 64])
    arguments = parser.parse_args()
    {"dead": dead, "live": live}[arguments.what](arguments)


if __name__ == "__main__":
    main()
