"""Is a flipped bit seen? One at a time, in every kind of file that Hartley stores.

    python bench/flips.py [--flips 10000] [--reruns 100] [--seed 0]

A small run is played on a live scene; weights are trained and cached; records, texts and a copied
model are kept as loot; a pack is fetched into a folder of its own, if it is here. Then single bits
are flipped, in each kind of file as often as in the others, one at a time:

* in files of the run (journal, document, plan, trials, rows, the file ``latest``) ``hartley gate``
  must not pass any more, or must print exactly what it printed before;
* after one of a hundred of them (``--reruns``) the command that made the run must end with the same
  numbers, and the gate must pass again;
* a file of the cache or of the loot must be made again, or give exactly what was stored;
* a pack must be refused, or its data must be as they were.

"harmless" are flips that nobody reads: padding, a licence text, half a line behind the journal.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from kills import PLAN, numbers

from hartley.cli.main import run as command
from hartley.core import Data, Modality
from hartley.core.errors import MissingPack
from hartley.data import packs
from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.kit import cache, file_digests
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.clone import clone
from hartley.models.pipeline import Pipeline
from hartley.store.artifacts import Artifacts

SEEN, HARMLESS, UNSEEN = "seen", "harmless", "NOT SEEN"
Check = Callable[[Path], str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--reruns", type=int, default=100, help="flips to a rerun of assess")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    folder = Path(tempfile.mkdtemp(prefix="hartley-flips-"))
    pack = packed(folder)
    os.environ["HARTLEY_CACHE"] = str(folder / "cache")
    os.chdir(folder)
    checks = {**of_run(folder), **of_cache(folder), **of_loot(folder), **pack}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    began = time.monotonic()
    for number in range(asked.flips):
        kind = list(checks)[number % len(checks)]
        files, check, of_a_run = checks[kind]
        path = chance.choice(files)
        content = path.read_bytes()
        bit = chance.randrange(8 * len(content))
        path.write_bytes(flipped(content, bit))
        counts[kind][end := check(path)] += 1
        if end == UNSEEN:
            print(f"NOT SEEN: bit {bit} of {path}", flush=True)
        if of_a_run and chance.random() < 1 / asked.reruns:
            counts[kind][rerun(folder)] += 1
            restore(folder)
        else:
            path.write_bytes(content)
        if number % 1000 == 999:
            print(f"{number + 1} flips in {time.monotonic() - began:.0f} s", flush=True)
    show(counts, checks)
    shutil.rmtree(folder)
    sys.exit(any(UNSEEN in count or "NOT HEALED" in count for count in counts.values()))


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def show(counts: dict[str, Counter[str]], checks: dict[str, Any]) -> None:
    """Print how the flips ended, by kind of file."""
    ends = [SEEN, HARMLESS, UNSEEN, "healed", "NOT HEALED"]
    print(f"{'file':10} {'bytes':>8} " + " ".join(f"{end:>10}" for end in ends))
    for kind, count in counts.items():
        size = sum(path.stat().st_size for path in checks[kind][0])
        print(f"{kind:10} {size:8} " + " ".join(f"{count[end]:10}" for end in ends))
    total = sum(counts.values(), Counter[str]())
    print(f"{'all':10} {'':8} " + " ".join(f"{total[end]:10}" for end in ends))


def gate(run: str) -> tuple[int, str]:
    """The exit code of the gate and what it prints, in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = command(("gate", run, "--limits", "plan.toml"))
    return code, out.getvalue()


def of_run(folder: Path) -> dict[str, tuple[list[Path], Check, bool]]:
    """Play the run; its files by kind, each with its check."""
    (folder / "plan.toml").write_text(PLAN)
    plan = replace(parse(PLAN, source="plan.toml"), workers=0)
    assess(plan, store=folder / "runs", run="one")
    # A twin under a name that is one bit away: a flip in ``latest`` must not choose it.
    shutil.copytree(folder / "runs/one", folder / "runs/ond")
    shutil.copytree(folder / "runs", folder / "whole")
    before = {run: gate(run) for run in ("one", "latest")}
    assert {code for code, _ in before.values()} == {0}, before

    def check(run: str) -> Check:
        def checked(_path: Path) -> str:
            code, printed = gate(run)
            if code:
                return SEEN
            return HARMLESS if printed == before[run][1] else UNSEEN

        return checked

    home = folder / "runs/one"
    files = {
        "journal": [home / "journal.jsonl"],
        "run.json": [home / "run.json"],
        "plan.toml": [home / "plan.toml"],
        "trials": sorted((home / "trials").iterdir()),
        "rows": sorted((home / "rows").iterdir()),
    }
    checks = {kind: (paths, check("one"), True) for kind, paths in files.items()}
    return {**checks, "latest": ([folder / "runs/latest"], check("latest"), False)}


def rerun(folder: Path) -> str:
    """Whether the command that made the run brings the same numbers back, and the gate passes."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = command(("assess", "plan.toml", "--run", "one", "--workers", "0"))
    same = numbers(folder) == numbers(folder, "whole")
    return "healed" if code == 0 and same and gate("one")[0] == 0 else "NOT HEALED"


def restore(folder: Path) -> None:
    """Put the run back as it was."""
    shutil.rmtree(folder / "runs")
    shutil.copytree(folder / "whole", folder / "runs")


def of_cache(folder: Path) -> dict[str, tuple[list[Path], Check, bool]]:
    """Train weights into the cache."""
    chance = np.random.default_rng(0)
    x, y = chance.random((24, 5)).astype(np.float32), chance.integers(0, 2, 24)
    data = Data("d", Modality.TABULAR, x, y)
    pipeline = Pipeline(dense((5,), 2, (4,)), Training(epochs=1), Modality.TABULAR)
    include = np.ones((2, 24), dtype=bool)

    def answers() -> list[bytes]:
        ensemble = pipeline.fit(data, include, 3)
        members = [ensemble.member(k) for k in range(2)]
        return [np.asarray(member.query(x)).tobytes() for member in members if member.query]

    true = answers()

    def check(_path: Path) -> str:
        cache.rebuilt.clear()
        if answers() != true:
            return UNSEEN
        return SEEN if cache.rebuilt else HARMLESS

    return {"cache": (sorted((folder / "cache").rglob("*.safetensors")), check, False)}


def of_loot(folder: Path) -> dict[str, tuple[list[Path], Check, bool]]:
    """Keep records, texts and a copied model."""
    store, chance = Artifacts(folder / "loot"), np.random.default_rng(0)
    x = chance.random((40, 6)).astype(np.float32)
    answers = np.eye(3, dtype=np.float32)[chance.integers(0, 3, 40)]
    asked = Data("asked", Modality.TABULAR, x)
    store.put("model", clone(asked, answers, 0, steps=5, hidden=8))
    store.put("records", Data("poison", Modality.TABULAR, x, np.arange(40), facts={"queries": 7}))
    texts = np.array(["one", "two", "three"], dtype=object)
    store.put("texts", Data("texts", Modality.LANGUAGE, texts))

    def plain(key: str) -> Any:
        asset = store.get(key)
        if asset is None:
            return None
        if isinstance(asset, Data):
            return asset.x.tolist(), None if asset.y is None else asset.y.tolist(), asset.facts
        assert asset.query is not None
        return asset.query(x).tolist(), asset.lineage, asset.offers

    true = {key: plain(key) for key in store.keys()}  # noqa: SIM118

    def check(path: Path) -> str:
        asset = plain(path.stem)
        return SEEN if asset is None else HARMLESS if asset == true[path.stem] else UNSEEN

    return {"loot": (sorted((folder / "loot").iterdir()), check, False)}


def packed(folder: Path) -> dict[str, tuple[list[Path], Check, bool]]:
    """Copy a pack into a folder of its own."""
    try:
        source = packs.locate("dialogue")
    except MissingPack:
        print("the pack dialogue is not here: packs are left out")
        return {}
    shutil.copytree(source, folder / "packs/dialogue")
    os.environ["HARTLEY_PACKS"] = str(folder / "packs")
    home = packs.locate("dialogue")
    true = file_digests.sha256_of_files(home, beside=("pack.json", "LICENSE.txt"))

    def check(_path: Path) -> str:
        file_digests._remembered.cache_clear()  # two flips may share a tick of the disk's clock
        try:
            packs.locate("dialogue")
        except MissingPack:
            return SEEN
        now = file_digests.sha256_of_files(home, beside=("pack.json", "LICENSE.txt"))
        return HARMLESS if now == true else UNSEEN

    return {"pack": (sorted(p for p in home.rglob("*") if p.is_file()), check, False)}


if __name__ == "__main__":
    main()
