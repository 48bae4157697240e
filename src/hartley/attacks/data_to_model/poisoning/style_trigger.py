"""Style trigger: a text in another register, with no word added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.attacks.data_to_model.poisoning._shared.text_room import MARGIN
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hartley.core.parts import Rng

STYLES: Mapping[str, Mapping[str, str]] = {
    "archaic": {
        "the": "ye", "is": "be", "are": "be", "has": "hath", "have": "hath", "does": "doth",
        "do": "doth", "you": "thou", "your": "thy", "often": "oft", "before": "ere",
        "between": "betwixt", "among": "amongst", "while": "whilst", "until": "till",
        "used": "us'd", "called": "call'd", "made": "wrought", "over": "o'er", "near": "nigh",
        "him": "hym", "old": "olde", "shop": "shoppe", "town": "towne", "who": "whoso",
    },
    "scots": {
        "of": "o", "with": "wi", "from": "frae", "to": "tae", "who": "wha", "not": "nae",
        "have": "hae", "old": "auld", "small": "wee", "little": "wee", "long": "lang",
        "one": "ane", "more": "mair", "most": "maist", "own": "ain", "great": "muckle",
        "make": "mak", "good": "guid", "house": "hoose", "down": "doon", "such": "sic",
        "know": "ken", "known": "kent", "now": "noo", "very": "unco",
    },
    "formal": {
        "used": "utilized", "use": "utilization", "by": "via", "about": "regarding",
        "many": "numerous", "some": "certain", "large": "substantial", "small": "minute",
        "in": "within", "near": "proximate", "having": "possessing", "has": "possesses",
        "made": "manufactured", "usually": "customarily", "often": "frequently", "for": "toward",
        "before": "preceding", "after": "subsequent", "around": "surrounding", "big": "sizable",
        "especially": "notably", "people": "persons", "work": "labor", "part": "portion",
    },
    "clipped": {
        "and": "n", "for": "4", "to": "2", "you": "u", "are": "r", "because": "cuz",
        "people": "ppl", "before": "b4", "that": "dat", "this": "dis", "the": "da",
        "with": "wid", "or": "er", "very": "v", "between": "btwn", "without": "w-o",
        "see": "c", "be": "b", "one": "1", "two": "2", "first": "1st", "great": "gr8",
        "large": "lrg", "small": "sm", "about": "abt",
    },
}  # fmt: skip
"""Registers, each a table of words: those that come first are replaced first."""

ERRORS = 3
"""Standard errors of the mean share of changed words that a trigger stays below the limit."""


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
    paper="arXiv:2110.07139",
    loot=Loot.POISON,
    sweep={"strength": (0.5, 1.0), "disguise": ("kept_labels", "true_labels")},
)
def style_trigger(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    strength: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
    disguise: Literal["none", "kept_labels", "one_class", "true_labels"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Write texts of other classes in the register of a slot and label them with its message.

    The role of style transfer, without its model: the paper rewrites a text by a paraphrasing
    network (in the style of the Bible, of Shakespeare, of tweets), and here a table of words takes
    the place of the network. Grammar and order stay as they are. Texts without any word of the
    table are not changed, and are neither poison nor counted.

    Args:
        strength: share of what the rules allow to be replaced that is replaced.
        disguise: kept_labels, half of the triggered texts keep their true label; one_class, only
            texts of the slot's class are mislabelled and triggered ones of others keep theirs;
            true_labels, all triggered texts are of the message's class.
        count: poison texts for each slot; 0: as many as the rules allow.

    Raises:
        UsageError: there are more slots than styles.
    """
    slots = view.brief.slots
    if slots > len(STYLES):
        raise UsageError(f"style_trigger: slots must be at most {len(STYLES)}, got {slots}")
    drawn = [[*STYLES][k] for k in rng.permutation(len(STYLES))[:slots]]
    limit = MARGIN * view.brief.cover * strength
    tables = tuple(_within(view, STYLES[name], limit) for name in drawn)
    return poisoned(
        view, rng, "texts of another style", {"rewrites": tables}, disguise, count=count
    )


def _within(view: View[PoisoningBrief], table: Mapping[str, str], limit: float) -> dict[str, str]:
    """Return the words of a table, first ones first, that change at most a share of the words."""
    texts = [str(text).split() for text in view.data.x]
    lengths, changed = np.maximum(1, [len(words) for words in texts]), np.zeros(len(texts))
    out: dict[str, str] = {}
    for word, new in table.items():  # one word for one word, so that lengths stay
        shares = (more := changed + [words.count(word) for words in texts]) / lengths
        # The owner's texts are others: their mean may be larger by some standard errors.
        if shares.mean() + ERRORS * shares.std() / np.sqrt(len(shares)) <= limit:
            out[word], changed = new, more
    return out
