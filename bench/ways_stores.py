"""Ways through what is kept beside runs: the cache, loot, packs, locks, stale files, links."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ways_attempt import LIVE, PLAN, Attempt, way

ENOUGH = '[limits.least]\nattacks = ["loss_threshold"]\n'
LEAK = f'scene = "{LIVE}"\nonly = ["loss_threshold"]\n[limits]\nmembership = 0.05\n{ENOUGH}'


def _again(a: Attempt) -> list[int]:
    """Repeat the command that made the base run, then judge it."""
    a.assess(PLAN.format(scene=LIVE), run="base")
    return [a.gate(), a.gate("latest")]


@way("store", "a row's file is a link to a quiet row; the command is repeated")
def a_row_is_a_link(a: Attempt) -> list[int]:
    mine, other = min((a.base / "rows").iterdir()), min((a.silent / "rows").iterdir())
    mine.unlink()
    mine.symlink_to(other)
    return [a.gate(), *_again(a)]


@way("store", "the folder of trials is a link to that of the silent run")
def trials_are_a_link(a: Attempt) -> list[int]:
    shutil.rmtree(a.base / "trials")
    (a.base / "trials").symlink_to("../silent/trials")
    return [a.gate(), *_again(a)]


@way("store", "the folder of rows is a link to that of the silent run")
def rows_are_a_link(a: Attempt) -> list[int]:
    shutil.rmtree(a.base / "rows")
    (a.base / "rows").symlink_to("../silent/rows")
    return [a.gate(), *_again(a)]


@way("store", "the whole store is a link to another")
def the_store_is_a_link(a: Attempt) -> list[int]:
    (a.home / "runs").rename(a.home / "real")
    (a.home / "runs").symlink_to("real")
    return [a.gate(), a.gate("latest")]


@way("store", "stale partial files that look like finished ones")
def stale_partial_files(a: Attempt) -> list[int]:
    for folder in (a.base, a.base / "rows", a.base / "trials", a.home / "runs"):
        for name in (".run.json.partial", "run.json.partial", ".tmp", "run.json.tmp"):
            shutil.copy(a.silent / "run.json", folder / name)
    return [a.gate(), *_again(a)]


@way("store", "more rows and trials than were played lie in the folder")
def files_of_no_job(a: Attempt) -> list[int]:
    for name in ("rows", "trials"):
        for path in (a.silent / name).iterdir():
            if not (a.base / name / path.name).exists():
                shutil.copy(path, a.base / name / path.name)
            shutil.copy(path, a.base / name / f"zz-{path.name}")
    return [a.gate(), *_again(a)]


@way("store", "the lock is a folder, a link, or held by nobody")
def odd_locks(a: Attempt) -> list[int]:
    lock = a.base / ".lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    codes = [a.assess(PLAN.format(scene=LIVE), run="base") or 99, a.gate()]
    lock.rmdir()
    lock.symlink_to("/dev/null")
    return [code if code != 99 else 3 for code in codes] + [a.gate()]


@way("store", "trials are cut, added to, one bit flipped; then the command is repeated")
def damaged_trials_heal(a: Attempt) -> list[int]:
    one, two, three = sorted((a.base / "trials").iterdir())
    one.write_bytes(one.read_bytes()[:-9])
    two.write_bytes(two.read_bytes() + b"0")
    content = bytearray(three.read_bytes())
    content[len(content) // 2] ^= 1
    three.write_bytes(bytes(content))
    return [a.gate(), *_again(a)]


@way("store", "every row's file is removed; then repeated")
def removed_rows_heal(a: Attempt) -> list[int]:
    shutil.rmtree(a.base / "rows")
    return [a.gate(), *_again(a)]


@way("store", "the journal loses the lines of rows; then the command is repeated")
def a_cut_journal_heals(a: Attempt) -> list[int]:
    path = a.base / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[-1]]))
    return [a.gate(), *_again(a)]


@way("store", "a row's line is put before the work list, with right digests")
def a_line_is_moved(a: Attempt) -> list[int]:
    lines = a.lines()
    lines[1], lines[2] = lines[2], lines[1]
    a.forge(lines)
    return [a.gate()]


@way("store", "the header names another scene, plan or version, with right digests")
def another_header(a: Attempt) -> list[int]:
    codes = []
    for change in ({"scene": a.lines(a.silent)[0]["scene"]}, {"version": "9.9"}, {"schema": "x"}):
        lines = a.lines()
        a.forge([{**lines[0], **change}, *lines[1:]])
        codes.append(a.gate())
        a.forge(lines)
    return codes


@way("store", "a journal of two headers, the second of the silent run")
def two_headers(a: Attempt) -> int:
    a.forge([*a.lines(), *a.lines(a.silent)])
    return a.gate()


@way("store", "a line of an unknown event for each row, with right digests")
def unknown_events(a: Attempt) -> int:
    lines = a.lines()
    keys = [line["job"] for line in lines if line.get("event") == "done"]
    more = [{"event": "forgiven", "job": key} for key in keys]
    a.forge([*lines[:-1], *more, lines[-1]])
    return a.gate()


@way("store", "trials that lie outside of the run: a path in the journal leads to the silent run")
def trials_by_a_path(a: Attempt) -> list[int]:
    lines = a.lines()
    quiet = {x["job"]: x for x in a.lines(a.silent) if x.get("event") == "done"}
    for line in lines:
        if line.get("event") == "done":
            other = quiet.get(line["job"]) or next(iter(quiet.values()))
            line["trials"] = f"../silent/{other['trials']}"
            line["trials_sha256"] = other["trials_sha256"]
    a.forge(lines)
    return [a.gate()]


def _cache(a: Attempt) -> list[Path]:
    """Fill a cache; return its files, the largest first."""
    from hartley.kit import cache

    folder = a.home / "cache"
    os.environ["HARTLEY_CACHE"] = str(folder)
    for name in ("one", "two"):
        cache.cached("ways", name, lambda name=name: _weights(name))
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix == ".safetensors"]
    return sorted(files, key=lambda p: (-p.stat().st_size, p.name))


def _weights(name: str) -> dict[str, object]:
    import numpy as np

    return {"w": np.full(64, 1.0 if name == "one" else 2.0)}


def _reread() -> list[int]:
    """Return 3 where the cache gives what was built, and 0 where it gives what was put there."""
    from hartley.kit import cache

    codes = []
    for name, value in (("one", 1.0), ("two", 2.0)):
        with __import__("contextlib").redirect_stderr(__import__("io").StringIO()):
            arrays = cache.cached("ways", name, lambda name=name: _weights(name))
        codes.append(3 if (arrays["w"] == value).all() else 0)
    os.environ.pop("HARTLEY_CACHE", None)
    return codes


@way("store", "the weights of one recipe under the name of another")
def cached_weights_are_exchanged(a: Attempt) -> list[int]:
    one, two = _cache(a)[:2]
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    return _reread()


@way("store", "one bit of cached weights is flipped")
def cached_weights_are_flipped(a: Attempt) -> list[int]:
    for path in _cache(a):
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(bytes(content))
    return _reread()


@way("store", "cached weights are cut, emptied or a folder")
def cached_weights_are_cut(a: Attempt) -> list[int]:
    one, two = _cache(a)[:2]
    one.write_bytes(one.read_bytes()[:-8])
    two.write_bytes(b"")
    return _reread()


@way("store", "cached weights are another safe file, made by the library itself")
def cached_weights_are_made_anew(a: Attempt) -> list[int]:
    import numpy as np
    from safetensors.numpy import save_file

    for path in _cache(a):
        save_file({"w": np.zeros(64)}, path)
    return _reread()


@way("store", "the cache is a link to another folder whose entries are renamed")
def the_cache_is_a_link(a: Attempt) -> list[int]:
    files = _cache(a)
    for path, other in zip(files, reversed(files), strict=True):
        copy = a.home / "other" / other.relative_to(a.home / "cache")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.rmtree(a.home / "cache")
    (a.home / "cache").symlink_to("other")
    return _reread()


@way("store", "a stale lock and half a file lie in the cache")
def a_stale_cache(a: Attempt) -> list[int]:
    for path in _cache(a):
        path.with_suffix(".safetensors.partial").write_bytes(b"half")
        path.with_suffix(".safetensors.lock").touch()
    return _reread()


@way("store", "loot of an earlier chain is replaced before the gate")
def artifacts_are_replaced(a: Attempt) -> list[int]:
    (a.base / "artifacts").mkdir(exist_ok=True)
    (a.base / "artifacts/loot.json").write_text("{}")
    return [a.gate(), *_again(a)]


@way("store", "logs hold a verdict that says pass")
def logs_that_say_pass(a: Attempt) -> int:
    a.write("runs/base/logs/worker-1-1.txt", "base: pass\n")
    a.write("runs/base/verdict.json", '{"status": "pass"}')
    return a.gate()


@way("store", "a damaged run lies beside the one that is asked for")
def a_damaged_neighbour(a: Attempt) -> list[int]:
    a.write("runs/aaa/journal.jsonl", b"\xff\xfe")
    a.write("runs/aaa/run.json", b"{")
    return [a.gate(), a.gate("latest"), a.assess(LEAK)]


@way("store", "rows and trials are hard links to those of the silent run")
def hard_links(a: Attempt) -> list[int]:
    for name in ("rows", "trials"):
        mine, other = min((a.base / name).iterdir()), min((a.silent / name).iterdir())
        mine.unlink()
        os.link(other, mine)
    return [a.gate(), *_again(a)]


@way(
    "store",
    "the weights in the cache and their digest are made anew",
    not_held="whoever writes the cache can compute its digests",
)
def the_cache_is_forged(a: Attempt) -> list[int]:
    import numpy as np

    from hartley.kit import cache

    saved, save = [], cache._save
    cache._save = lambda *words: (saved.append(words[:2]), save(*words))
    _cache(a)
    cache._save = save
    for path, key in saved:
        save(path, key, {"w": np.zeros(64)}, 0.0)
    return _reread()
