"""Draw triggers and what a poisoned net answers, as docs/triggers.svg on standard output.

Each column is one attack on the digits: a held-out digit, the same digit with the attack's trigger,
and the label that a net gives to each of them that was trained with a tenth of poison. The message
is the class 8.
"""

from __future__ import annotations

import sys

import numpy as np

from hartley import catalog
from hartley.engine.run.play import deal
from hartley.games.poisoning import poisoning, triggers
from hartley.scenes.digits import digits

ATTACKS = ("badnets", "blended", "wanet", "sinusoid", "sleeper_agent")
CELL, SIDE, GAP = 12, 8, 34


def picture(pixels: np.ndarray, left: int, top: int) -> str:
    """One digit (8, 8) as squares, dark ink on light paper."""
    squares = []
    for row in range(SIDE):
        for column in range(SIDE):
            grey = round(255 * (1 - float(pixels[row, column])))
            place = f'x="{left + CELL * column}" y="{top + CELL * row}"'
            squares.append(
                f'<rect {place} width="{CELL}" height="{CELL}" fill="rgb({grey},{grey},{grey})"/>'
            )
    frame = f'x="{left}" y="{top}" width="{CELL * SIDE}" height="{CELL * SIDE}"'
    return "".join(squares) + f'<rect {frame} fill="none" stroke="#888"/>'


def text(words: str, left: int, top: int, weight: str = "normal") -> str:
    """A line of text in the middle of a column."""
    style = 'font-family="sans-serif" font-size="13" text-anchor="middle" fill="#777"'
    return f'<text x="{left}" y="{top}" font-weight="{weight}" {style}>{words}</text>'


def main() -> None:
    """Train a victim for each attack and write the picture to standard output."""
    scene = digits()
    test = scene.extra["test"]
    wide, width = CELL * SIDE, 16 + len(ATTACKS) * (CELL * SIDE + GAP)
    parts = []
    for column, name in enumerate(ATTACKS):
        attack = catalog.load("attack", name)
        table = deal(attack, scene, seed=3, params={"rounds": 1, "slots": 1, "poisons": 50})
        view = table.rounds[0].view
        loot = attack(view, np.random.default_rng(0)).asset
        victims, _ = poisoning.victims_of(scene, [loot], 0)
        source = int(view.brief.question.labels[0])
        record = test.x[np.flatnonzero(test.labels == source)[:1]]
        triggered = triggers.stamped(loot, 0, record)
        answers = [int(victims.member(0).query(x).argmax(1)[0]) for x in (record, triggered)]
        left = 16 + column * (wide + GAP)
        middle = left + wide // 2
        parts += [
            text(name, middle, 18, "bold"),
            picture(record[0, 0], left, 28),
            text(f"answer {answers[0]}", middle, 28 + wide + 18),
            picture(triggered[0, 0], left, 62 + wide),
            text(f"answer {answers[1]}", middle, 80 + 2 * wide),
        ]
    size = f'viewBox="0 0 {width} {90 + 2 * wide}" width="{width}" height="{90 + 2 * wide}"'
    sys.stdout.write(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n')


if __name__ == "__main__":
    main()
