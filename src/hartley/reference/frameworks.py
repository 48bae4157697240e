"""Framework ids of each threat class: MITRE ATLAS, OWASP LLM and ML, NIST AI 100-2.

Ids always include their edition: OWASP renumbered its LLM list between 2025 and 2026, so a
bare ``LLM03`` has two meanings. No framework maps itself to the two papers' classes, nor NIST's ids
to the others'. ``official`` means that the entry's own title or text names the threat;
``asserted`` means that Hartley places it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from hartley.reference.tables import rows


class Tag(TypedDict):
    """One framework id, as the run document has it."""

    scheme: str
    edition: str
    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a framework: its title and its source."""

    scheme: str
    edition: str
    id: str
    title: str


def entries() -> dict[str, Entry]:
    """Return every framework entry that the tables know, by id."""
    return {row["id"]: Entry(**row) for row in rows("framework_ids.tsv")}


def tags(cls: str, extra: Iterable[str] = ()) -> list[Tag]:
    """Return the framework ids of a threat class.

    Args:
        cls: name of the class, for example ``membership``; an unknown one has no ids.
        extra: an attack's own ids, ``scheme:edition:id``; they count as asserted.

    Raises:
        ValueError: an extra id does not have the three pieces.
    """
    tags: list[Tag] = [
        Tag(scheme=row["scheme"], edition=row["edition"], id=row["id"], origin=row["origin"])
        for row in rows("frameworks.tsv")
        if row["class"] == cls
    ]
    pairs = {(tag["scheme"], tag["id"]) for tag in tags}
    for text in extra:
        pieces = text.split(":", 2)
        if len(pieces) != 3 or not all(pieces):
            raise ValueError(f"a tag must be scheme:edition:id, got {text!r}")
        scheme, edition, name = pieces
        if (scheme, name) not in pairs:
            tags.append(Tag(scheme=scheme, edition=edition, id=name, origin="asserted"))
    return tags


def note_of(cls: str, identity: str) -> str:
    """Return why an id is assigned to a class, or an empty string."""
    for row in rows("frameworks.tsv"):
        if (row["class"], row["id"]) == (cls, identity):
            return row["note"]
    return ""


def current_id(atlas: str) -> str:
    """Return today's id of an ATLAS technique that was renumbered, or the id itself."""
    return {row["old"]: row["new"] for row in rows("atlas_aliases.tsv")}.get(atlas, atlas)
