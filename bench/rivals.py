"""Auditing your own model: Hartley beside other tools, on the same model and records.

    python bench/rivals.py forest --seeds 5 --python sacroml=PEER/bin/python

Each tool runs in an environment of its own, as its own process, the way its documentation shows; a
tool without ``--python TOOL=PATH`` is left out. What each job is and needs: ``--help``, and the
head of the scripts in ``bench/peers``.

For each seed a model is trained and both sides audit it, each going first every other time. AUC and
TPR at 1 % FPR are computed here, by one function, from the scores of either side. A tool's best
attack is the one with the best mean over seeds, of all that it ran. The difference is paired by
seed, with Student's t interval at 95 % over seeds. Seconds are those of the whole command, imports
and report included: wall and processor time of the process and its children. One thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import rivals_models

from hartley import __version__

PEERS = Path(__file__).parent / "peers"
JOBS = {
    "forest": (
        rivals_models.forest,
        "a scikit-learn random forest on a mixed table of the census (pack adult), 500 members",
        {"sacroml": "sacro_forest.py", "art": "art_model.py"},
    ),
    "language": (
        rivals_models.language,
        "a LoRA adapter of a small Llama trained here, 200 member sentences",
        {"memaudit": "memaudit_texts.py"},
    ),
    "network": (
        rivals_models.network,
        "a small CNN with its own training loop on digits, 500 members",
        {"leakpro": "leakpro_network.py", "art": "art_model.py"},
    ),
}


def command(words, folder, log):
    """Run a command in a folder; its standard output, wall seconds and processor seconds."""
    started = time.perf_counter()
    with (folder / f"{log}.out").open("w") as out, (folder / f"{log}.err").open("w") as err:
        files = [(os.POSIX_SPAWN_DUP2, f.fileno(), to) for f, to in ((out, 1), (err, 2))]
        before = Path.cwd()
        os.chdir(folder)
        process = os.posix_spawnp(words[0], words, os.environ, file_actions=files)
        os.chdir(before)
        _, status, spent = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 3):  # 3: measured, with rows that did not fit
        sys.exit(f"{' '.join(words)} failed: {(folder / f'{log}.err').read_text()[-1500:]}")
    text = (folder / f"{log}.out").read_text()
    return text, {"wall": seconds, "cpu": spent.ru_utime + spent.ru_stime}


def figures(scores, member):
    """AUC and TPR at 1 % FPR: at most 1 % of the non-members lie above the threshold."""
    from sklearn.metrics import roc_auc_score

    scores = np.nan_to_num(np.asarray(scores, dtype=float), nan=-np.inf)
    _, ranks = np.unique(scores, return_inverse=True)
    threshold = np.sort(ranks[~member])[::-1][int(0.01 * (~member).sum())]
    return float(roc_auc_score(member, ranks)), float((ranks[member] > threshold).mean())


def ours(words, folder):
    """(AUC, TPR) by attack of a run of the command line, and the seconds that it took."""
    from hartley.store.table import read_trials

    hartley = str(Path(sys.executable).with_name("hartley"))
    _, took = command([hartley, *words, "--run", "ours", "--fresh"], folder, "ours")
    rows = {}
    for path in sorted((folder / "runs" / "ours" / "trials").iterdir()):
        trials = read_trials(path)
        if trials.game == "membership" and trials.guess.dtype.kind == "f":
            rows[trials.attack] = figures(trials.guess, trials.truth == 1)
    return {"rows": rows, **took}


def theirs(python, script, folder, members, others):
    """The same of a peer's script."""
    words = [python, "-W", "ignore", str(PEERS / script), "."]
    text, took = command(words, folder, Path(script).stem)
    member = np.arange(members + others) < members
    rows, version = {}, "?"
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        row = json.loads(line)
        version = row.get("version", version)
        if "scores" in row:
            rows[row["attack"]] = figures(row["scores"], member)
        elif "auc" in row:
            rows[row["attack"]] = row["auc"], row["tpr"]
    return {"rows": rows, **took, "version": version}


def stored(path, job):
    """Rows of a job that an earlier run kept, by seed and side."""
    if path is None or not path.is_file():
        return {}
    rows = map(json.loads, path.read_text().splitlines())
    return {(row["seed"], row["side"]): row for row in rows if row["job"] == job}


def keep(path, row):
    """Append one side's figures of one seed."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def difference(first, second):
    """Mean of first − second by seed, with the ends of Student's t interval at 95 %."""
    from scipy.stats import t

    gap = np.asarray(first) - np.asarray(second)
    reach = t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
    return gap.mean(), gap.mean() - reach, gap.mean() + reach


def told(tool, runs):
    """Print every attack of a tool; return the values of the best one by figure."""
    wall, cpu = (np.mean([run[key] for run in runs]) for key in ("wall", "cpu"))
    print(f"{tool}: {wall:.1f} s wall, {cpu:.1f} s processor a seed")
    table = {name: np.array([run["rows"][name] for run in runs]) for name in runs[0]["rows"]}
    for name, values in sorted(table.items(), key=lambda row: -row[1].mean(0)[0]):
        mean = values.mean(0)
        print(f"  {name:36} AUC {mean[0]:.3f}  TPR@1% {mean[1]:.3f}")
    best = [max(table, key=lambda name: table[name][:, k].mean()) for k in (0, 1)]
    return {k: (best[k], table[best[k]][:, k]) for k in (0, 1)}


def main() -> None:
    """Run one job with the peers that were named."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs = "; ".join(f"{name}: {job[1]} ({', '.join(job[2])})" for name, job in JOBS.items())
    ask.add_argument("job", choices=JOBS, help=jobs)
    ask.add_argument("--seeds", type=int, default=5)
    ask.add_argument("--first", type=int, default=0, help="the first seed")
    ask.add_argument("--python", action="append", default=[], metavar="TOOL=PATH")
    ask.add_argument("--words", default="", help="further flags of our command")
    ask.add_argument("--store", type=Path, help="JSON lines that keep what was measured")
    given = ask.parse_args()
    make, what, scripts = JOBS[given.job]
    pythons = {
        name: str(Path(path).absolute())
        for name, _, path in (word.partition("=") for word in given.python)
    }
    if unknown := set(pythons) - set(scripts):
        sys.exit(f"--python of {given.job} must be of {', '.join(scripts)}, got {unknown}")
    print(f"{given.job}: {what}, {given.seeds} seeds from {given.first} on")
    kept = stored(given.store, given.job)
    results, versions = {}, {"Hartley": __version__}
    for seed in range(given.first, given.first + given.seeds):
        sides = ["Hartley", *pythons][:: -1 if seed % 2 else 1]
        with tempfile.TemporaryDirectory() as place:
            folder, dealt = Path(place), None
            for side in sides:
                row = kept.get((seed, side))
                if row is None:
                    words, members, others = dealt = dealt or make(folder, seed)
                    if side == "Hartley":
                        row = ours([*words, *given.words.split()], folder)
                    else:
                        row = theirs(pythons[side], scripts[side], folder, members, others)
                    keep(given.store, {"job": given.job, "seed": seed, "side": side, **row})
                    print(f"  seed {seed} {side}: {row['wall']:.0f} s", file=sys.stderr)
                results.setdefault(side, []).append(row)
                versions[side] = row.get("version", versions.get(side))
    best = {side: told(f"{side} {versions[side]}", results[side]) for side in ["Hartley", *pythons]}
    for side in pythons:
        for k, figure in enumerate(("AUC", "TPR@1%")):
            (mine, values), (other, beside) = best["Hartley"][k], best[side][k]
            gap, low, high = difference(values, beside)
            verdict = "DOES NOT HOLD" if high < 0 else "holds"
            print(
                f"{figure:7} {mine} {values.mean():.3f} − {side} {other} {beside.mean():.3f} = "
                f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]  ours ≥ theirs within it: {verdict}"
            )


if __name__ == "__main__":
    main()
