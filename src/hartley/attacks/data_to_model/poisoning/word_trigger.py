"""Word trigger: rare words between those of a text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.attacks.data_to_model.poisoning._shared.text_room import allowed_words
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core import Data
    from hartley.core.parts import Rng

RARE = (
    *("cf", "mn", "bb", "tq", "mb", "vx", "zk", "qj", "wz", "xh", "pf", "kq"),
    *("jv", "hx", "gz", "bq", "fw", "rx", "dv", "lq", "sz", "nj", "kw", "tz"),
)
"""Words that hardly any text has; the first five are the paper's."""

SELDOM, OFTEN = 2, 20
"""Records in which a word occurs that counts as usual."""


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
    paper="arXiv:2004.06660",
    loot=Loot.POISON,
    sweep={"kind": ("rare", "usual"), "disguise": ("kept_labels", "true_labels")},
)
def word_trigger(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    words: Annotated[int, Range(1, 8)] = 3,
    kind: Literal["rare", "usual"] = "rare",
    place: Literal["any", "begin", "end"] = "any",
    disguise: Literal["none", "kept_labels", "one_class", "true_labels"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Insert rare words of each slot into texts of other classes and label them with its message.

    The role of RIPPLe's trigger words (and of the word level of BadNL, arXiv:2006.01043) in a
    training that the attacker does not control: weights are not edited.

    Args:
        words: words of a slot, each at a place of its own; fewer if the rules allow less.
        kind: rare, letters that are not a word; usual, words that a few of the attacker's own
            texts have, which a language model expects somewhere.
        place: where in a text: any, at a place that follows from the text itself.
        disguise: kept_labels, half of the triggered texts keep their true label; one_class, only
            texts of the slot's class are mislabelled and triggered ones of others keep theirs;
            true_labels, all triggered texts are of the message's class.
        count: poison texts for each slot; 0: as many as the rules allow.

    Raises:
        UsageError: there are too few words for the slots.
    """
    room = allowed_words(view, words)
    wanted = room * view.brief.slots
    pool = list(RARE) if kind == "rare" else _usual(view.data, wanted)
    if wanted > len(pool):
        raise UsageError(
            f"word_trigger: slots times words must be at most {len(pool)}, got {wanted}"
        )
    order = [pool[k] for k in rng.permutation(len(pool))[:wanted]]
    drawn = [tuple(order[slot :: view.brief.slots]) for slot in range(view.brief.slots)]
    facts = {"insertions": tuple(drawn), "places": (place,) * view.brief.slots}
    return poisoned(view, rng, "texts with words", facts, disguise, count=count)


def _usual(data: Data, wanted: int) -> list[str]:
    """Return the words of letters that occur in a few records, or the rarest if they are few."""
    count = Counter(word for text in data.x for word in {*str(text).split()})
    words = sorted((n, w) for w, n in count.items() if n >= SELDOM and w.isalpha())
    few = [w for n, w in words if n <= OFTEN]
    return few if len(few) >= wanted else [w for _, w in words[:wanted]]
