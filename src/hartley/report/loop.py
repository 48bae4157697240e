"""The loop drawn: data and models as two assets, four axes as arrows, bits on the arrows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hartley.core.taxonomy import Axis
from hartley.report.format_numbers import (
    AXIS_TITLES,
    bits,
    certified_share,
    number,
    percent,
    plain,
    span,
    widest,
)

NOTHING_PLAYED = "no attack was played"


@dataclass(frozen=True, slots=True)
class Arrow:
    """One axis: what is written on it and how wide it is.

    Attributes:
        axis: its name.
        title: its name for a person.
        lines: the words on it: share of the secret, bits with interval, which attack, count.
        share: certified bits as a share of the secret's entropy, 0..1.
        open: whether anything was measured on it.
    """

    axis: str
    title: str
    lines: tuple[str, ...]
    share: float
    open: bool


# Positions, wide and narrow: the picture's size, the two assets, and for each axis the
# arrow's path and the middle of its words.
WIDE: dict[str, Any] = {
    "size": (960, 424),
    "nodes": {"data": (350, 212), "model": (610, 212)},
    "axes": {
        "data_to_data": ("M 308 177 C 236 92, 236 332, 305 250", (125, 212)),
        "data_to_model": ("M 382 167 C 425 82, 535 82, 575 162", (480, 66)),
        "model_to_data": ("M 578 257 C 535 342, 425 342, 385 262", (480, 358)),
        "model_to_model": ("M 652 177 C 724 92, 724 332, 655 250", (835, 212)),
    },
}
NARROW: dict[str, Any] = {
    "size": (372, 692),
    "nodes": {"data": (186, 206), "model": (186, 486)},
    "axes": {
        "data_to_data": ("M 150 163 C 70 56, 302 56, 226 158", (186, 62)),
        "data_to_model": ("M 226 248 C 300 306, 300 386, 230 442", (281, 346)),
        "model_to_data": ("M 146 444 C 72 386, 72 306, 142 250", (91, 346)),
        "model_to_model": ("M 222 529 C 302 636, 70 636, 146 534", (186, 630)),
    },
}


def arrows(document: Mapping[str, Any]) -> list[Arrow]:
    """Return the four axes, each with its channel that certifies most of its secret."""
    return [_arrow(str(axis), document) for axis in Axis]


def picture(
    document: Mapping[str, Any],
    *,
    narrow: bool = False,
    standalone: bool = False,
    links: Mapping[str, str] | None = None,
) -> str:
    """Draw the loop.

    Args:
        document: a run document.
        narrow: draw the loop upright, for a telephone.
        standalone: a file of its own, in light colours that read on any ground.
        links: axis → where its arrow leads; an axis that is not here leads nowhere.
    """
    from hartley.report.templates import environment

    layout = NARROW if narrow else WIDE
    return (
        environment()
        .get_template("loop.svg")
        .render(
            layout=layout,
            arrows=arrows(document),
            name="n" if narrow else "w",
            standalone=standalone,
            links=links or {},
            scene=document["scene"].get("name"),
        )
    )


def _arrow(axis: str, document: Mapping[str, Any]) -> Arrow:
    here = [c for c in document["channels"] if c.get("axis") == axis]
    best = widest(here)
    if best is None:
        legs = [] if here else _legs(axis, document)
        why = "not measured" if here else "a leg of a loop, below" if legs else NOTHING_PLAYED
        return Arrow(axis, AXIS_TITLES[axis], (why, *legs), 0.0, False)
    best_bits = best["bits"]
    low = best_bits.get("low")
    candidates, certified = certified_share(best)
    lines = (
        f"≥ {percent(certified)} of the secret",
        f"{bits(best_bits.get('point'))} {span(low, best_bits.get('high'))} bit",
        _short(plain(best["attack"])),
        f"1 in {candidates} per {best.get('unit') or 'use'}, n {number(best.get('n'))}",
    )
    return Arrow(axis, AXIS_TITLES[axis], lines, certified, True)


def _legs(axis: str, document: Mapping[str, Any]) -> list[str]:
    """Return the attacks that carry a closed loop along an axis, each once."""
    legs = [leg for one in document.get("loops") or () for leg in one.get("legs") or ()]
    return list(dict.fromkeys(_short(plain(leg["attack"])) for leg in legs if leg["axis"] == axis))


def _short(name: str, limit: int = 24) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def caption(document: Mapping[str, Any]) -> str:
    """Describe the picture in words, for a reader who cannot see it."""
    words = []
    for arrow in arrows(document):
        text = "; ".join(arrow.lines)
        words.append(f"{arrow.title}: {text}")
    return ". ".join(words) + "."
