"""Papers by id, and whether a public source confirms them.

The column ``seen`` of the table: ``both``: id and title are together in public text (papers'
pages, reading lists, other people's code), looked up; ``title``: the title alone; ``plan``: only in
the plan of this project, where the paper's abstract was read. No row is from memory.
"""

from __future__ import annotations

from hartley.reference.tables import rows

SEEN = ("both", "title", "plan")


def bibliography() -> dict[str, str]:
    """Return titles by id, for example ``arXiv:2112.03570``."""
    return {row["id"]: row["title"] for row in rows("bibliography.tsv")}


def seen(paper: str) -> str:
    """Return how far a public source confirms a row, one of ``SEEN``; empty where there is none."""
    return {row["id"]: row["seen"] for row in rows("bibliography.tsv")}.get(paper, "")


def title_of(paper: str) -> str | None:
    """Return the title of a paper, or None where it is not in the table."""
    return bibliography().get(paper)
