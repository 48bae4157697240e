"""Placeholders: publish texts without names, addresses, links and numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Scene, Stronger, Term, defense
from hartley.kit.language import deidentification
from hartley.kit.releases.text_release import TextRelease

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="release",
    protects=("text_linkage",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2202.00443",
    strongest={"capitals": True},
    keeps_proof=True,
    requires=("text_release",),
)
def placeholders(
    scene: Scene, rng: Rng, *, capitals: Annotated[bool, Stronger.NEITHER] = True
) -> Scene:
    """Replace what names a person by a placeholder, and leave signatures out (de-identification).

    Addresses, links and numbers are found by their form, names by the owner's list of the people.
    How somebody writes, and about what, stays.

    Args:
        capitals: whether capitalised words within a sentence are taken for names too.
    """
    del rng
    part = scene.part(TextRelease)

    def rewrite(text: str) -> str:
        return deidentification.placeholders(part.released(text), part.names, capitals=capitals)

    return scene.with_part(replace(part, rewrite=rewrite))
