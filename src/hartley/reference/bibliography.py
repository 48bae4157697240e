"""Papers by id, where the title is known for certain."""

from __future__ import annotations

from hartley.reference.tables import rows


def bibliography() -> dict[str, str]:
    """Return titles by id, for example ``arXiv:2112.03570``."""
    return {row["id"]: row["title"] for row in rows("bibliography.tsv")}


def title_of(paper: str) -> str | None:
    """Return the title of a paper, or None where it is not known for certain."""
    return bibliography().get(paper)
