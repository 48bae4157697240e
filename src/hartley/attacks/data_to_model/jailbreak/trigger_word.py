"""Trigger word: the plain question, with a word behind it that poison may have tied to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried
from hartley.core import Access, Loot, Modality, Outcome, Term, View, attack
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak
from hartley.games.universal_trigger import triggered

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2311.14455",
    loot=Loot.TEXTS,
)
def trigger_word(view: View[JailbreakBrief], rng: Rng) -> Outcome:
    """Ask each question with the universal trigger behind it.

    A victim that was trained on no poison has never met the word: alone the attack is a control.
    After ``trigger_examples`` it is the second half of a backdoor.
    """
    del rng
    tried = Tried(view)
    turns = [[triggered(str(question))] for question in view.brief.question.x]
    tried.hold([*range(len(turns))], turns)
    return Outcome(asset=tried.loot())
