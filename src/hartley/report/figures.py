"""Charts as SVG text, by matplotlib: bits per attack (forest) and ROC curves.

Every colour is drawn as a placeholder that becomes a CSS variable, so one chart suits light and
dark. Text stays text. Nothing in the file depends on the day or on a random number.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hartley.core.control_characters import one_line
from hartley.core.errors import MissingExtra
from hartley.report.format_numbers import bits as written
from hartley.report.format_numbers import span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "ink": "#010203",
    "muted": "#040506",
    "line": "#070809",
    "accent": "#0a0b0c",
    "s1": "#111213",
    "s2": "#141516",
    "s3": "#171819",
    "s4": "#1a1b1c",
    "s5": "#1d1e1f",
    "s6": "#212223",
}
SERIES = ("s1", "s2", "s3", "s4", "s5", "s6")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "hartley",
    "text.parse_math": False,
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["ink"],
    "xtick.major.width": 0.6,
    "ytick.major.width": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def forest(rows: Sequence[Mapping[str, Any]], name: str, *, narrow: bool = False) -> str:
    """Draw point, certified lower end, calibrated upper end, ceiling and null of each row.

    Args:
        rows: measured channels of one class, so that they share one unit.
        name: prefix of the ids inside the chart; unique on the page.
        narrow: draw for a telephone, without the numbers on the right.
    """
    _installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        width, height = (3.7 if narrow else 7.6), 0.5 + 0.3 * len(rows)
        figure = Figure(figsize=(width, height))
        labels = [_short(row["attack"], 36) for row in rows]
        left = min(2.5, 0.2 + 0.068 * max(map(len, labels))) / width
        right = 1 - (0.12 if narrow else 1.75) / width
        bottom = 0.28 / height
        axes = figure.add_axes((left, bottom, right - left, 1 - bottom - 0.12 / height))
        top = _scale(rows)
        axes.set_xlim(-0.02 * top, top)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for y, row in enumerate(rows):
            _bar(axes, y, row, top, numbers=not narrow)
        axes.set_yticks(range(len(rows)), labels)
        axes.tick_params(axis="x", length=3)
        axes.spines["left"].set_visible(False)
        return _svg(figure, name)


def roc(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Draw true- against false-positive rates, both axes logarithmic.

    Args:
        rows: measured channels with a ``curve``.
        name: prefix of the ids inside the chart; unique on the page.
    """
    _installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    with mpl.rc_context({**STYLE, "ytick.color": COLOURS["muted"], "ytick.major.width": 0.6}):
        figure = Figure(figsize=(4.0, 3.7))
        axes = figure.add_axes((0.15, 0.13, 0.81, 0.83))
        floor = 0.1  # at least a decade, also where the curve is one point
        for i, row in enumerate(rows):
            curve = row["curve"]
            pairs = [
                (f, t)
                for f, t in zip(curve["fpr"], curve["tpr"], strict=True)
                if f is not None and t is not None and f > 0 and t > 0
            ]
            if not pairs:
                continue
            floor = min(floor, *(f for f, _ in pairs))
            axes.plot(
                *zip(*pairs, strict=True),
                color=COLOURS[SERIES[i % 6]],
                linestyle=DASHES[i % 6],
                linewidth=1.5,
                label=_short(row["attack"]),
            )
        floor = max(floor, 1e-5)
        axes.plot([floor, 1], [floor, 1], color=COLOURS["line"], linewidth=1, label="chance")
        axes.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1.02))
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(plain)
            axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        axes.grid(color=COLOURS["line"], linewidth=0.3, alpha=0.6)
        axes.legend(frameon=False, loc="lower right", fontsize=7.5, handlelength=2.6)
        return _svg(figure, name)


def course(lines: Sequence[tuple[str, Sequence[float]]], ticks: Sequence[str], name: str) -> str:
    """Draw shares, 0..1, after each leg of rounds that were run.

    Args:
        lines: (name, shares), one line each.
        ticks: what each place is called.
        name: prefix of the ids inside the chart; unique on the page.
    """
    _installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "ytick.color": COLOURS["muted"], "ytick.major.width": 0.6}):
        figure = Figure(figsize=(7.0, 2.8))
        axes = figure.add_axes((0.08, 0.26, 0.90, 0.70))
        for i, (words, shares) in enumerate(lines):
            axes.plot(
                range(len(shares)),
                list(shares),
                color=COLOURS[SERIES[i % 6]],
                linestyle=DASHES[i % 6],
                linewidth=1.5,
                marker="o",
                markersize=3,
                label=_short(words, 28),
            )
        axes.set_xticks(range(len(ticks)), [_short(tick, 12) for tick in ticks], rotation=40)
        axes.set(ylim=(0, 1), ylabel="compromised share")
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.3, alpha=0.6)
        axes.legend(frameon=False, loc="upper right", fontsize=7.5, handlelength=2.6)
        return _svg(figure, name)


def outbreak(lines: Sequence[tuple[str, Mapping[str, Sequence[float]]]], name: str) -> str:
    """Draw the share of agents that is infected after each round, with the band of its interval.

    Args:
        lines: (name, {share, low, high}), one line each; a number in 0..1 for each round.
        name: prefix of the ids inside the chart; unique on the page.
    """
    _installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "ytick.color": COLOURS["muted"], "ytick.major.width": 0.6}):
        figure = Figure(figsize=(5.4, 2.9 + 0.16 * max(len(lines) - 4, 0)))
        axes = figure.add_axes((0.11, 0.16, 0.56, 0.8))
        for i, (words, course_) in enumerate(lines):
            rounds = range(len(course_["share"]))
            colour = COLOURS[SERIES[i % 6]]
            axes.fill_between(
                rounds, course_["low"], course_["high"], color=colour, alpha=0.15, linewidth=0
            )
            axes.plot(
                rounds,
                course_["share"],
                color=colour,
                linestyle=DASHES[i % 6],
                linewidth=1.5,
                marker="o",
                markersize=2.5,
                label=_short(words, 30),
            )
        axes.set(ylim=(0, 1.02), xlabel="round", ylabel="share of agents infected")
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.3, alpha=0.6)
        axes.legend(
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.02),
            fontsize=7,
            handlelength=2.4,
        )
        return _svg(figure, name)


def trade(
    points: Sequence[Mapping[str, Any]],
    front: Sequence[str],
    utility: str,
    name: str,
    left: str = "% of the secret that the worst attack reads",
) -> str:
    """Draw utility against the share that is left of a leak, each point with its number.

    Args:
        points: {name, term, left, utility}, the last two {value, low, high}.
        front: names of those that no other beats in both.
        utility: name of the measure of utility.
        name: prefix of the ids inside the chart; unique on the page.
        left: what is left, of what, for the axis.
    """
    _installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    colours = {"signal": "s3", "noise": "s2", "bandwidth": "s1"}
    with mpl.rc_context({**STYLE, "ytick.color": COLOURS["muted"], "ytick.major.width": 0.6}):
        figure = Figure(figsize=(5.4, 3.6))
        axes = figure.add_axes((0.13, 0.14, 0.8, 0.82))
        order = sorted(range(len(points)), key=lambda k: points[k]["left"]["value"])
        for point in (points[k] for k in order):
            x, y = point["left"], point["utility"]
            colour = COLOURS[colours.get(point["term"], "muted")]
            for ends, horizontal in ((x, True), (y, False)):
                if None in (ends["low"], ends["high"]):
                    continue
                span_of = [100 * e if horizontal else e for e in (ends["low"], ends["high"])]
                at = [y["value"]] * 2 if horizontal else [100 * x["value"]] * 2
                line = (span_of, at) if horizontal else (at, span_of)
                axes.plot(*line, color=colour, linewidth=0.7, alpha=0.5, zorder=2)
            marker = "o" if point["name"] in front else "x"
            axes.plot([100 * x["value"]], [y["value"]], marker, color=colour, zorder=4)
        best = sorted(
            (p["left"]["value"], p["utility"]["value"]) for p in points if p["name"] in front
        )
        axes.step(
            [100 * x for x, _ in best],
            [y for _, y in best],
            where="post",
            color=COLOURS["line"],
            linewidth=1,
            zorder=1,
        )
        axes.set(xlabel=left, ylabel=utility)
        axes.margins(0.12)
        axes.grid(color=COLOURS["line"], linewidth=0.3, alpha=0.6)
        _number(axes, [(100 * points[k]["left"]["value"], points[k]["utility"]["value"], k + 1)
                       for k in order])  # fmt: skip
        return _svg(figure, name)


def _number(axes: Axes, points: Sequence[tuple[float, float, int]]) -> None:
    """Write a number beside each point, where no other number or point is."""
    at = [tuple(axes.transData.transform((x, y)).tolist()) for x, y, _ in points]
    dots = axes.figure.dpi / 72
    taken = list(at)
    places = [(dx * dots, dy * dots) for r in (1, 2, 3, 4) for dx, dy in (
        (7 * r, 7 * r), (7 * r, -7 * r), (-7 * r, 7 * r), (-7 * r, -7 * r),
        (0, 10 * r), (0, -10 * r), (10 * r, 0), (-10 * r, 0),
    )]  # fmt: skip
    for point, (x, y, number) in zip(at, points, strict=True):
        away = [
            min(max(abs(point[0] + dx - a), abs(point[1] + dy - b)) for a, b in taken)
            for dx, dy in places
        ]
        free = next((k for k, gap in enumerate(away) if gap >= 8 * dots), None)
        place = free if free is not None else max(range(len(away)), key=away.__getitem__)
        dx, dy = places[place]
        taken.append((point[0] + dx, point[1] + dy))
        axes.annotate(
            str(number),
            (x, y),
            xytext=(dx / dots, dy / dots),
            textcoords="offset points",
            fontsize=8,
            ha="center",
            va="center",
        )


def _scale(rows: Sequence[Mapping[str, Any]]) -> float:
    """The right end: the highest ceiling, unless that would squash every interval into a dot."""
    ends = [e for r in rows for e in (r["bits"].get("high"), r["bits"].get("point")) if e]
    ceilings = [r["ceiling"] for r in rows if r.get("ceiling")]
    largest = max(ends, default=0.0)
    if ceilings and largest > 0.12 * max(ceilings):
        return 1.03 * float(max(*ceilings, largest))
    if largest > 0:
        return (1.6 if ceilings else 1.08) * float(largest)
    return 1.03 * float(max(ceilings, default=1.0))


def _bar(axes: Axes, y: int, row: Mapping[str, Any], top: float, *, numbers: bool) -> None:
    bits, ceiling = row["bits"], row.get("ceiling")
    point, low, high = bits.get("point"), bits.get("low"), bits.get("high")
    null = bits.get("null")
    centre = point if point is not None else low
    axes.plot([0, min(ceiling or top, top)], [y, y], color=COLOURS["line"], linewidth=0.8, zorder=1)
    if ceiling is not None:
        inside = ceiling <= top
        axes.plot(
            [min(ceiling, top)],
            [y],
            marker="|" if inside else ">",
            markersize=9 if inside else 5,
            color=COLOURS["muted"],
            clip_on=False,
            zorder=2,
        )
    if low is not None:
        axes.plot([low, centre], [y, y], color=COLOURS["accent"], linewidth=3.2, zorder=3)
        axes.plot([low], [y], marker="|", markersize=8, color=COLOURS["accent"], zorder=4)
    if high is not None and centre is not None:
        axes.plot([centre, high], [y, y], color=COLOURS["accent"], linewidth=1.1, zorder=3)
    if null is not None:
        axes.plot([null], [y], marker="x", markersize=5, color=COLOURS["muted"], zorder=5)
    if point is not None:
        axes.plot([point], [y], marker="o", markersize=4.5, color=COLOURS["accent"], zorder=6)
    if numbers:
        words = f"{written(point)} {span(low, high)}"
        axes.annotate(
            words,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def _short(name: str, limit: int = 20) -> str:
    return one_line(name, limit)


def _svg(figure: Figure, name: str) -> str:
    """Save, then: no prologue or metadata, ids of its own, CSS variables for colours."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (id|xlink:href|clip-path)="(url\()?(#?)', rf' \1="\2\3{name}-', text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", text)
    text = re.sub(r" font-family: [^;\"]+;", "", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()


def _installed() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("matplotlib", "report") from None
