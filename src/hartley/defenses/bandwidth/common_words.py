"""Common words: publish only those words of a text that many people use, in plain form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.language import deidentification
from hartley.kit.releases.text_release import TextRelease

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="release",
    protects=("text_linkage",),
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1145/2382448.2382450",
    strongest={"people": 16},
    requires=("text_release",),
)
def common_words(scene: Scene, rng: Rng, *, people: Annotated[int, Range(1)] = 10) -> Scene:
    """Replace every word that fewer people use by a placeholder, and write all in one plain form.

    Texts are in lower case, on one line, without punctuation within sentences: habits of layout and
    of spelling go with the rare words. Which words are common is counted in the texts of everybody
    in the scene, after the defenses before this one.

    Args:
        people: users that a word must have to stay.
    """
    del rng
    part = scene.part(TextRelease)
    rewritten = zip(part.authors.tolist(), map(part.released, part.texts), strict=True)
    words = deidentification.common_words(rewritten, people)

    def rewrite(text: str) -> str:
        return deidentification.in_common_words(part.released(text), words)

    return scene.with_part(replace(part, rewrite=rewrite))
