"""What an attack did to one record, drawn as SVG: the page loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SIDE = 120
"""Width of a picture on the page, in CSS pixels."""


def of_attacks(rows: Sequence[Mapping[str, Any]], svg: Any) -> Iterator[dict[str, Any]]:
    """Yield the pictures of each attack that has some, once for each of its settings.

    Args:
        rows: measured rows.
        svg: marks drawings as safe.
    """
    for row in rows:
        if pictures := row.get("pictures"):
            yield {
                "attack": str(row["attack"]),
                "pictures": [
                    {"svg": svg(drawn(one)), "words": str(one["words"])} for one in pictures
                ],
            }


def drawn(picture: Mapping[str, Any]) -> str:
    """Return a picture as SVG, a rectangle for each run of equal pixels.

    Args:
        picture: of a run document: ``shape`` (channels, height, width) and ``hex``.
    """
    channels, height, width = (int(size) for size in picture["shape"])
    levels = bytes.fromhex(picture["hex"])
    if len(levels) != channels * height * width:
        return ""
    planes = [levels[k * height * width : (k + 1) * height * width] for k in range(channels)]
    parts = []
    for y in range(height):
        row = [_colour([plane[y * width + x] for plane in planes]) for x in range(width)]
        start = 0
        for x in range(1, width + 1):
            if x == width or row[x] != row[start]:
                place = f'x="{start}" y="{y}" width="{x - start}" height="1"'
                parts.append(f'<rect {place} fill="{row[start]}"/>')
                start = x
    return (
        f'<svg aria-hidden="true" focusable="false" viewBox="0 0 {width} {height}" '
        f'width="{SIDE}" height="{round(SIDE * height / width)}" shape-rendering="crispEdges">'
        f"{''.join(parts)}</svg>"
    )


def _colour(levels: Sequence[int]) -> str:
    red, green, blue = levels if len(levels) == 3 else (levels[0],) * 3
    return f"#{red:02x}{green:02x}{blue:02x}"
