"""Is a reference model ever trained twice? An audit of 200 of them, killed with -9 again and again.

    python bench/reference_kills.py [--references 200] [--kills 10] [--seconds 0.3] [--seed 0]

A small network of a user's own is assessed with the user's own training loop, which writes a line
into a log when it begins and when it returns. The command and its workers are killed at random
times; the same command goes on, until nothing kills it. Then the log is counted:

* trained: models for which the loop returned, which must be as many as there are references;
* trained twice: models for which it returned again although they were kept, of which none must be;
* cut off: trainings that a kill ended halfway. Each costs a part of one model;
* lost: models whose process was killed after the loop had returned and before their file was
  there, some milliseconds later: the return is the last line of that process. The shorter a
  training, the likelier that a kill meets them; no order of writing closes the gap.

It is done with one and with two workers, and once with two
workers and without kills, whose documents must be the same but for times.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kills import kill, numbers

FILES = {
    "net.py": """
import torch.nn as nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
""",
    "data.py": """
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 8)).astype(np.float32)
y = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
train, test = (x[:100], y[:100]), (x[100:], y[100:])
""",
    "train.py": """
import hashlib, os, time
import torch
import torch.nn.functional as F
from net import Net

def write(*words):
    log = os.open(os.environ["FIT_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(log, (" ".join(map(str, words)) + "\\n").encode())
    os.close(log)

def fit(x, y, seed=0):
    name = hashlib.sha256(x.tobytes() + str(seed).encode()).hexdigest()[:16]
    write("begins", name, os.getpid())
    net, x, y = Net(), torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
    time.sleep(float(os.environ["FIT_SECONDS"]))
    write("returns", name, os.getpid())
    return net
""",
    "save.py": """
import torch
from safetensors.torch import save_file
import data, train

torch.manual_seed(0)
save_file(train.fit(*data.train).state_dict(), "w.safetensors")
""",
    "plan.toml": """
only = ["lira", "rmia", "calibrated_loss", "shadow_classifier"]
[model]
path = "net.py:Net"
weights = "w.safetensors"
fit = "train.py:fit"
[data]
train = "data.py:train"
test = "data.py:test"
""",
}
ATTACKS = ("lira", "rmia", "calibrated_loss", "shadow_classifier")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--references", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.3, help="how long a training sleeps")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    folder = Path(tempfile.mkdtemp(prefix="hartley-references-"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    settings = [f"\n[attacks.{name}]\nreferences = {asked.references}\n" for name in ATTACKS]
    (folder / "plan.toml").write_text(FILES["plan.toml"] + "".join(settings))
    environment = {
        **os.environ,
        "FIT_SECONDS": "0",
        "FIT_LOG": str(folder / "saved"),
    }
    subprocess.run([sys.executable, "save.py"], cwd=folder, env=environment, check=True)
    documents, sound = [], True
    for label, workers, kills in (("undisturbed", 2, 0), ("one", 1, None), ("two", 2, None)):
        times = asked.kills if kills is None else kills
        document, counts = audited(folder, label, workers, times, asked, chance)
        documents.append(document)
        sound &= counts["trained"] == asked.references and not counts["trained twice"]
        print(f"{workers} workers: {', '.join(f'{v} {k}' for k, v in counts.items())}", flush=True)
    alike = all(document == documents[0] for document in documents)
    print(f"the documents are {'the same' if alike else 'DIFFERENT'}")
    if sound and alike:
        shutil.rmtree(folder)
    else:
        print(f"kept in {folder}")
    sys.exit(not (sound and alike))


def audited(
    folder: Path,
    label: str,
    workers: int,
    kills: int,
    asked: argparse.Namespace,
    chance: random.Random,
) -> tuple[Any, dict[str, int]]:
    """Assess until nothing kills it; return the document without times, and what was trained."""
    log = folder / f"log-{label}"
    environment = {
        **os.environ,
        "HARTLEY_CACHE": str(folder / f"cache-{label}"),
        "FIT_SECONDS": str(asked.seconds),
        "FIT_LOG": str(log),
    }
    words = ["assess", "plan.toml", "--run", "one", "--store", label, "--workers", str(workers)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "hartley.cli.main", *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    met = 0
    for number in range(kills):
        before, process = returned(log), start()
        # It is killed while models are trained: a share of them after those of the kill before.
        share = asked.references * (number + 1) // (kills + 1)
        while process.poll() is None and returned(log) < max(share, before + 1):
            time.sleep(0.01)
        kill(process, chance.uniform(0, 2 * asked.seconds))
        met += returned(log) < asked.references
    if (code := start().wait()) != 0:
        sys.exit(f"{label}: the last command ended with {code}; it is kept in {folder}")
    lines = [line.split() for line in log.read_text().splitlines()]
    done = Counter(name for word, name, _ in lines if word == "returns")
    begun = sum(word == "begins" for word, _, _ in lines)
    last = {pid: place for place, (_, _, pid) in enumerate(lines)}
    lost = sum(
        word == "returns" and last[pid] == place and any(line[:2] == [word, name] for line in after)
        for place, (word, name, pid) in enumerate(lines)
        for after in (lines[place + 1 :],)
    )
    return numbers(folder, label), {
        "kills": kills,
        "of them while models were trained": met,
        "trained": len(done),
        "trained twice": sum(done.values()) - len(done) - lost,
        "cut off": begun - sum(done.values()),
        "lost": lost,
        "processes that trained": len({pid for word, _, pid in lines if word == "returns"}),
    }


def returned(log: Path) -> int:
    """How often the loop has returned."""
    return log.read_text().count("returns") if log.exists() else 0


if __name__ == "__main__":
    main()
