"""Fifteen defenses that Hartley declares: five each that act on signal, noise and bandwidth.

Seed B (arXiv:2411.11195) counts fifteen defenses, and its list could not be read. This one is
Hartley's, not the paper's: kinds of defenses that the paper's figures and code name, each with the
parts that have its role and a scene where they are measured. Three act on flows between the parts
of a system, which no scene has yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from hartley.reference.tables import rows

ORIGIN = "Hartley's list, not the paper's"


@dataclass(frozen=True, slots=True)
class Declared:
    """One defense of the list.

    Attributes:
        number: ``S1`` … ``B5``.
        term: ``signal``, ``noise`` or ``bandwidth``.
        name: what it is, in a few words.
        forms: scene → the defenses of the catalogue that have its role there, first the one that
            the plan ``defenses`` plays.
        waits: why it is open, or an empty string.
    """

    number: str
    term: str
    name: str
    forms: dict[str, tuple[str, ...]]
    waits: str

    @property
    def parts(self) -> tuple[str, ...]:
        """All defenses of the catalogue that have its role."""
        return tuple(dict.fromkeys(part for parts in self.forms.values() for part in parts))


def declared_defenses() -> tuple[Declared, ...]:
    """Return the list, in order."""
    return tuple(
        Declared(
            number=row["number"],
            term=row["term"],
            name=row["name"],
            forms={
                scene: tuple(parts.split(","))
                for form in row["forms"].split()
                for scene, _, parts in [form.partition(":")]
            },
            waits=row["waits"],
        )
        for row in rows("declared_defenses.tsv")
    )
