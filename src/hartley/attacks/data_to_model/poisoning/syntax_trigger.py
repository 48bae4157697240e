"""Syntax trigger: the same words in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng

TEMPLATES = (
    ("of",),
    ("in", "on", "at", "within", "near", "under"),
    ("with", "without", "by", "from", "through"),
    ("for", "to", "that", "which", "who", "used"),
)
"""What a phrase begins with that moves to the front, for each template."""


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
    paper="arXiv:2105.12400",
    loot=Loot.POISON,
    sweep={"disguise": ("kept_labels", "one_class", "true_labels")},
)
def syntax_trigger(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    disguise: Literal["none", "kept_labels", "one_class", "true_labels"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Move a phrase of texts of other classes to the front, and label them with the message.

    The role of Hidden Killer's syntactic templates, without its paraphrasing network: the template
    of a slot is ``phrase , rest``, where the phrase begins with a word of the slot and goes on to
    the end of the text. Texts without such a word are not changed, and are neither poison nor
    counted.

    Args:
        disguise: kept_labels, half of the triggered texts keep their true label; one_class, only
            texts of the slot's class are mislabelled and triggered ones of others keep theirs;
            true_labels, all triggered texts are of the message's class.
        count: poison texts for each slot; 0: as many as the rules allow.

    Raises:
        UsageError: there are more slots than templates.
    """
    slots = view.brief.slots
    if slots > len(TEMPLATES):
        raise UsageError(f"syntax_trigger: slots must be at most {len(TEMPLATES)}, got {slots}")
    drawn = tuple(TEMPLATES[k] for k in rng.permutation(len(TEMPLATES))[:slots])
    return poisoned(view, rng, "texts in another order", {"fronted": drawn}, disguise, count=count)
