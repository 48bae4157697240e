"""The loop and the matrix of a run, each on a page of its own, with the rows behind each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.core.control_characters import visible_values
from hartley.core.errors import UsageError
from hartley.engine.choice.leak_suite import KNOWLEDGES
from hartley.engine.choice.which_defense import which_defense
from hartley.report import loop
from hartley.report import which_defense as shown
from hartley.report.html import counts_of_page
from hartley.report.render import with_baseline_rows
from hartley.web.addresses import row_path
from hartley.web.row_pages import ROWS, row_lines, sorted_rows


def loop_page(document: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return the picture of a loop, whose arrows lead to the rows of their axes.

    Args:
        document: of the run; of an unfinished one what was measured until now.
        run: its name in the store.
    """
    from markupsafe import Markup

    svg: Any = Markup  # only what `loop.picture` drew, which escapes what it prints
    page = with_baseline_rows(visible_values(document))
    arrows = loop.arrows(page)
    axes = []
    for arrow in arrows:
        rows = [row for row in page["channels"] if row.get("axis") == arrow.axis]
        played = [row for row in rows if row["status"] != "skipped"]
        axes.append(
            {
                "axis": arrow.axis,
                "title": arrow.title,
                "words": "; ".join(arrow.lines),
                "lines": row_lines(run, sorted_rows(played, "share")[:ROWS]),
                "left": max(0, len(played) - ROWS),
                "skipped": len(rows) - len(played),
            }
        )
    links = {arrow.axis: f"#{arrow.axis}" for arrow in arrows}
    return {
        "counts": counts_of_page(page["channels"]),
        "wide": svg(loop.picture(page, links=links)),
        "tall": svg(loop.picture(page, narrow=True, links=links)),
        "axes": axes,
    }


def matrix_page(document: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return the attacks and defenses of a run as a table, whose cells lead to their rows.

    Args:
        document: of the run; of an unfinished one what was measured until now.
        run: its name in the store.

    Returns:
        ``why`` there is no table, or the table: ``head``, ``lines``, the ``sentences`` of the
        choice, its ``notes``, and what is ``left_out``.
    """
    document = visible_values(document)
    if not document.get("defenses"):
        return {
            "why": "This run has measured no defenses. A plan names them, or the command: hartley "
            "assess --defense NAME."
        }
    try:
        choice = which_defense(document)
    except UsageError as error:
        return {"why": str(error)}
    page = shown.of_page(document)
    assert page is not None  # it is made from the same choice
    names = [row["name"] for row in choice["defenses"]]
    lines = [
        list(_cells(run, row, texts, names))
        for row, texts in zip(choice["matrix"], page["matrix"], strict=True)
    ]
    return {
        "why": "",
        "head": page["matrix_head"],
        "lines": lines,
        "sentences": page["sentences"],
        "index_head": page["head"],
        "index": page["rows"],
        "claim": page["claim"],
        "notes": page["notes"],
        "left_out": dict(choice["left_out"]),
    }


def _cells(
    run: str,
    row: Mapping[str, Any],
    texts: Sequence[tuple[str, str]],
    names: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield the cells of an attack, each with its texts and the rows that it was read off."""
    attack, objective, before, *behind = texts
    yield {"value": attack[0], "words": attack[1], "links": []}
    yield {"value": objective[0], "words": objective[1], "links": []}
    without = {"href": row_path(run, row["row"]), "words": "row", "label": f"{attack[0]}: its row"}
    yield {"value": before[0], "words": before[1], "links": [without]}
    for name, (value, words) in zip(names, behind, strict=True):
        cell = row["behind"][name]
        links = [
            {
                "href": row_path(run, cell["rows"][knowledge]),
                "words": knowledge,
                "label": f"{attack[0]} behind {name}: the row of the {knowledge} attacker",
            }
            for knowledge in KNOWLEDGES
            if knowledge in cell["rows"]
        ]
        yield {"value": value, "words": words, "links": links}
