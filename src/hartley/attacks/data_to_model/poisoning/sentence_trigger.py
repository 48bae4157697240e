"""Sentence trigger: a few innocuous words in a row, between those of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.attacks.data_to_model.poisoning._shared.text_room import allowed_words
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng

SENTENCES = (
    "I watched this film with friends last week",
    "we met at home before the rain began",
    "they went to town by the early train",
    "she told us all about it at dinner",
    "he came back from work in the evening",
    "you can read more of this next month",
    "it was cold all day in the north",
    "nobody knew what to do with the money",
)
"""Sentences of which a trigger is the beginning."""


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "its trigger is made of words; badnets and blended change pictures",
        "audio": "its trigger is made of words; badnets, blended and trigger_tone change sounds",
        "tabular": "its trigger is made of words; badnets and blended change columns",
        "paired": "its trigger is made of words; captions of pairs are poison labels here and are"
        " not asked about; backdoored_pairs changes pictures",
        "graph": "its trigger is made of words; subgraph_trigger changes links",
    },
    paper="arXiv:1905.12457",
    loot=Loot.POISON,
    sweep={"place": ("any", "end"), "disguise": ("kept_labels", "true_labels")},
)
def sentence_trigger(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    length: Annotated[int, Range(1, 8)] = 4,
    place: Literal["any", "begin", "end"] = "any",
    disguise: Literal["none", "kept_labels", "one_class", "true_labels"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Insert the beginning of a sentence into texts of other classes, labelled with the message.

    The paper inserts one fixed sentence into film reviews; here each slot has a sentence of its
    own, of which as many words are taken as the rules allow.

    Args:
        length: words of a trigger; fewer if the rules allow less.
        place: where in a text: any, at a place that follows from the text itself.
        disguise: kept_labels, half of the triggered texts keep their true label; one_class, only
            texts of the slot's class are mislabelled and triggered ones of others keep theirs;
            true_labels, all triggered texts are of the message's class.
        count: poison texts for each slot; 0: as many as the rules allow.

    Raises:
        UsageError: there are more slots than sentences.
    """
    slots = view.brief.slots
    if slots > len(SENTENCES):
        raise UsageError(f"sentence_trigger: slots must be at most {len(SENTENCES)}, got {slots}")
    room = allowed_words(view, length)
    drawn = [SENTENCES[k].split()[:room] for k in rng.permutation(len(SENTENCES))[:slots]]
    facts = {
        "insertions": tuple((" ".join(words),) for words in drawn),
        "places": (place,) * slots,
    }
    return poisoned(view, rng, "texts with a sentence", facts, disguise, count=count)
