"""Users whom PRADA refuses: orders of natural records, asked of victims of the extraction game.

    python bench/false_alarms.py

Each victim of digits is trained on secret labels and sets its own threshold by the owner's test
records. A user asks about 397 of the attacker's records, which are natural ones of the same kind,
in random order; a user who is refused at any time counts as one false alarm. The interval is
Student's t at 95 % over victims, since users of one victim share its threshold.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import t

from hartley.defenses.bandwidth.prada import prada
from hartley.engine.build_scene import build
from hartley.games.extraction.extraction import secret_labelling

VICTIMS, USERS, RECORDS = 6, 20, 397


def main() -> None:
    scene, rng = build("digits", {}), np.random.default_rng(0)
    victims = secret_labelling(prada(scene, rng), rng, VICTIMS).victims
    x = scene.extra["public"].x
    shares = []
    for victim in victims:
        assert victim.session is not None
        refused = 0
        for _ in range(USERS):
            rows = rng.permutation(len(x))[:RECORDS]
            answers = victim.session()("query", victim.query)(x[rows])
            refused += bool((answers == 1 / victim.classes).all(1).any())
        shares.append(refused / USERS)
    mean = np.mean(shares)
    half = t.ppf(0.975, VICTIMS - 1) * np.std(shares, ddof=1) / VICTIMS**0.5
    print(f"refused {mean:.3f} [{max(mean - half, 0):.3f}, {mean + half:.3f}], {shares}")


if __name__ == "__main__":
    main()
