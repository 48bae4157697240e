"""Draw refusal bits over steps and samples of tuning, as docs/refusals.svg on standard output.

    python bench/finetuning.py curve > curve.txt
    python docs/draw_refusals.py curve.txt > docs/refusals.svg

A line is one way of tuning at one rate; a bar is its 95 % interval over replicates and questions.
The share of secrets that come out is drawn beside the bits, dashed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_ROW = re.compile(
    r"(full|lora) (\S+), (\d+) samples, (\d+) steps: refusal bits (\S+) \[(\S+), (\S+)\], "
    r"recovered (\S+) \["
)
COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3")
WIDE, HIGH, LEFT, TOP, GAP = 250, 190, 44, 40, 56
MOST_STEPS, MOST_SAMPLES, STEPS = 128, 32, 32
"""The ends of both axes, and the steps at which samples are varied."""


def text(line: str, x: float, y: float, place: str = "middle", colour: str = "#777") -> str:
    """A line of text."""
    style = f'font-family="sans-serif" font-size="11" text-anchor="{place}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{line}</text>'


def panel(rows: list[tuple[str, int, list[float]]], left: float, name: str, most: int) -> list[str]:
    """One picture: (way, steps or samples, [bits, low, high, recovered]) over powers of two."""
    powers = most.bit_length() - 1

    def at(k: int, value: float) -> tuple[float, float]:
        return left + WIDE * (k.bit_length() - 1) / powers, TOP + HIGH * (1 - value)

    parts = []
    for value in (0.0, 0.5, 1.0):
        y = at(1, value)[1]
        parts.append(f'<path d="M{left} {y}h{WIDE}" stroke="#ccc" fill="none"/>')
        parts.append(text(f"{value:g}", left - 6, y + 4, "end"))
    for power in range(powers + 1):
        parts.append(text(str(2**power), at(2**power, 0)[0], TOP + HIGH + 16))
    parts.append(text(name, left + WIDE / 2, TOP + HIGH + 32))
    for way, colour in zip(dict.fromkeys(row[0] for row in rows), COLOURS, strict=False):
        line = [(k, values) for w, k, values in rows if w == way]
        for number, dash in ((0, ""), (3, ' stroke-dasharray="4 3"')):
            points = " ".join("{:.1f},{:.1f}".format(*at(k, values[number])) for k, values in line)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"'
                f"{dash}/>"
            )
        for k, values in line:
            (x, low), (_, high) = at(k, values[1]), at(k, values[2])
            parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
    return parts


def main(path: str) -> None:
    """Read the rows that the bench printed and write the picture to standard output."""
    found = _ROW.findall(Path(path).read_text(encoding="utf-8"))
    rows = [
        (f"{method} {rate}", int(samples), int(steps), [float(v) for v in values])
        for method, rate, samples, steps, *values in found
    ]
    if not rows:
        sys.exit(f"{path} must hold rows of bench/finetuning.py curve, got none")
    # A run over samples ends at STEPS; of all samples at STEPS there is one row of either kind.
    last = [i for i, row in enumerate(rows) if row[1:3] == (MOST_SAMPLES, STEPS)]
    over_steps = [(w, t, v) for i, (w, s, t, v) in enumerate(rows) if s == MOST_SAMPLES
                  and not (i in last and last.index(i) % 2)]  # fmt: skip
    over_samples = [(w, s, v) for i, (w, s, t, v) in enumerate(rows) if t == STEPS
                    and not (i in last and last.index(i) % 2 == 0)]  # fmt: skip
    wide = 2 * (LEFT + WIDE) + GAP
    high = TOP + HIGH + 44
    parts = panel(over_steps, LEFT, "steps (32 samples)", MOST_STEPS)
    parts += panel(over_samples, LEFT + WIDE + GAP, "samples (32 steps)", MOST_SAMPLES)
    ways = dict.fromkeys(row[0] for row in rows)
    for i, (way, colour) in enumerate(zip(ways, COLOURS, strict=False)):
        parts.append(text(way, LEFT + 110 * i, 14, "start", colour))
    parts.append(text("refusal bits, and the share recovered (dashed)", LEFT, 29, "start"))
    sys.stdout.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'viewBox="0 0 {wide} {high}">' + "".join(parts) + "</svg>\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
