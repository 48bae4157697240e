"""Are the processor seconds of ``hartley plan --power`` those that a larger run takes?

    python bench/power_cpu.py [--only PATTERN] [--growth 4]

Each row is played as a pilot of few rounds, its seconds are forecast for ``growth`` times as many,
and that run is played: each with a cache and a store of its own, by one worker.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from hartley.engine.plan.plan import read
from hartley.engine.plan.power import cpu_seconds
from hartley.store.journal import read_journal

ROWS = (
    ("tumours", "loss_threshold", "membership", 64, ""),
    ("tumours", "lira", "membership", 4, ""),
    ("tumours", "attribute_posterior", "attribute_inference", 64, ""),
    ("tumours", "exposure", "memorization", 64, ""),
    ("tumours", "copycat", "extraction", 32, ""),
    ("tumours", "label_flip", "poisoning", 8, ""),
    ("income", "loss_threshold", "membership", 8, ""),
    ("income", "attribute_confidence", "attribute_inference", 8, ""),
    ("income", "copycat", "extraction", 16, ""),
    ("income", "exposure", "memorization", 8, ""),
    ("fashion", "loss_threshold", "membership", 2, ""),
    ("fashion", "exposure", "memorization", 2, ""),
    ("dialogue", "loss_threshold", "membership", 2, ""),
    ("dialogue", "exposure", "memorization", 2, ""),
)
"""Scene, attack, game, rounds of the pilot, settings of the scene. The form of the forecast was
chosen on rows of the digits."""


def played(folder: Path, row: tuple[str, str, str, int, str], rounds: int) -> Path:
    """Play a row and return the folder of its run.

    Raises:
        RuntimeError: the command failed.
    """
    scene, attack, game, _, settings = row
    folder.mkdir()
    (folder / "plan.toml").write_text(
        f"""scene = "{scene}"
only = ["{attack}"]
[scenes.{scene}]
{settings}
[games.{game}]
rounds = {rounds}
"""
    )
    command = [sys.executable, "-m", "hartley.cli.main", "assess", "plan.toml", "--run", "run"]
    environment = {**os.environ, "HARTLEY_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [*command, "--workers", "1"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(done.stderr[-500:])
    return folder / "runs" / "run"


def spent(run: Path) -> float:
    """Return the processor seconds of all jobs of a run."""
    records = read_journal(run / "journal.jsonl").records.values()
    return sum(record["cpu"]["all"] for record in records if "trials" in record)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="*", help="pattern of SCENE/ATTACK")
    parser.add_argument("--growth", type=int, default=4)
    asked = parser.parse_args()
    print("row                               rounds      pilot s  forecast s  run s  forecast/run")
    for row in ROWS:
        name, few = f"{row[0]}/{row[1]}", row[3]
        if not fnmatchcase(name, asked.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            pilot = played(Path(folder) / "pilot", row, few)
            seconds = cpu_seconds(pilot, read(Path(folder) / "pilot" / "plan.toml"), asked.growth)
            run = spent(played(Path(folder) / "run", row, few * asked.growth))
            rounds = f"{few} → {few * asked.growth}"
            share = float("nan") if seconds is None else seconds / run
            print(
                f"{name:33} {rounds:9} {spent(pilot):9.1f} {seconds or 0:11.1f} {run:6.1f} "
                f"{share:13.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
