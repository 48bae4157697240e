"""Measure trials that some other tool made: a table in, bits with their interval out.

python examples/others_trials.py
"""

import csv
import random
import tempfile
from pathlib import Path

import hartley
from hartley.channel.trials.import_table import read_trials


def write(path: Path) -> None:
    """Stand in for the other tool: scores that lean towards the truth."""
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["truth", "score"])
        for _ in range(2000):
            truth = rng.randrange(2)
            table.writerow([truth, rng.gauss(truth, 1.0)])


def main() -> None:
    """Write a table, read it back, print the bits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        write(path)
        channel = hartley.measure(read_trials(path))
    print(
        f"{channel.bits.value:.3f} bit a use [{channel.bits.lower:.3f} certified, "
        f"{channel.high:.3f}], AUC {channel.metrics['auc']['value']:.3f}, n {channel.n}"
    )


if __name__ == "__main__":
    main()
