"""Filler words: the control of chains in which a way to ask is handed on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    loot=Loot.TEXTS,
    control=True,
)
def filler_words(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    words: Annotated[int, Range(1), Stronger.NEITHER] = 3,
    place: Literal["before", "after", "answer"] = "before",
) -> Outcome:
    """Ask each question with words around it that were drawn at random and ask for nothing.

    They are words of harmless questions, the same ones around all questions.

    Args:
        words: how many; more than 3 in a chain only, to match the length of what is handed on
            there.
        place: before the question, after it, or where the victim's answer begins.
    """
    brief = view.brief
    known = sorted({word for text in brief.benign for word in re.findall(r"[a-z]{3,}", text)})
    filler = " ".join(np.asarray(known)[rng.integers(0, len(known), words)].tolist())
    questions = [str(text) for text in brief.question.x]
    around = {"before": f"{filler} {{}}", "after": f"{{}} {filler}"}.get(place, "{}")
    begins = [filler if place == "answer" else ""] * len(questions)
    tried = Tried(view)
    tried.hold([*range(len(questions))], [[around.format(q)] for q in questions], begins)
    return Outcome(asset=tried.loot())
