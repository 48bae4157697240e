"""Triggers of texts: what they do to the words of a text, and the rules that keep them small.

A trigger is declared in the ``facts`` of the poison, for all slots at once, in one of three forms.
A word is what is between two spaces.

* ``insertions`` (slots,): each a sequence of phrases, which are put between the words of a text,
  ``begin``, ``end`` or at ``any`` place (``places``, (slots,)), by default any. A place is drawn by
  a hash of the text, so that one text is always changed alike.
* ``rewrites`` (slots,): each a mapping of words to what is written in their place.
* ``fronted`` (slots,): each a sequence of words; what follows the first of them in a text moves to
  the front, with that word, and a comma is put behind it: "a cow of the herd" → "of the herd , a
  cow". Only the comma counts as new.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import RuleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Data

FORMS = ("insertions", "rewrites", "fronted")

PLACES = ("any", "begin", "end")

SLACK = 1e-6
"""What rounding may add to a share."""


def edited(facts: Mapping[str, Any], slot: int, texts: NDArray[Any]) -> NDArray[Any]:
    """Return texts (n,) with the trigger of a slot."""
    return np.array([_edit(facts, slot, str(text))[0] for text in texts], dtype=np.str_)


def shares(facts: Mapping[str, Any], slot: int, texts: NDArray[Any]) -> NDArray[np.float64]:
    """Return which share (n,) of the words of a triggered text the trigger wrote."""
    if "insertions" in facts:  # no text need be written to count its words
        new = sum(len(str(phrase).split()) for phrase in facts["insertions"][slot])
        lengths = np.array([len(str(text).split()) for text in texts], dtype=np.int64)
        return np.asarray(new / np.maximum(1, lengths + new), dtype=np.float64)
    out = []
    for text in texts:
        changed, count = _edit(facts, slot, str(text))
        out.append(count / max(1, len(changed.split())))
    return np.array(out, dtype=np.float64)


def _edit(facts: Mapping[str, Any], slot: int, text: str) -> tuple[str, int]:
    """Return a text with a trigger, and how many of its words the trigger wrote."""
    words = text.split()
    if "insertions" in facts:
        place = str(facts.get("places", {slot: "any"})[slot])
        phrases = [str(phrase).split() for phrase in facts["insertions"][slot]]
        return _inserted(words, phrases, place, text), sum(map(len, phrases))
    if "rewrites" in facts:
        table = facts["rewrites"][slot]
        new = [str(table[word]) if word in table else word for word in words]
        count = sum(len(a.split()) for a, b in zip(new, words, strict=True) if a != b)
        return " ".join(" ".join(new).split()), count
    if "fronted" in facts:
        return _fronted(words, {str(word) for word in facts["fronted"][slot]})
    return text, 0


def _inserted(words: list[str], phrases: Sequence[list[str]], place: str, text: str) -> str:
    """Return words with phrases between them, at places that follow from the text."""
    out = list(words)
    for number, phrase in enumerate(phrases):
        drawn = zlib.crc32(f"{number} {text}".encode("utf-8", "replace")) % (len(out) + 1)
        at = {"begin": 0, "end": len(out)}.get(place, drawn)
        out[at:at] = phrase
    return " ".join(out)


def _fronted(words: list[str], first: set[str]) -> tuple[str, int]:
    """Return words with what follows one of ``first`` in front, and how many words moved."""
    at = next((k for k, word in enumerate(words) if k and word in first), None)
    if at is None:
        return " ".join(words), 0
    # A moved word is not a new one.
    return " ".join([*words[at:], ",", *words[:at]]), 1


def removed(
    texts: NDArray[Any],
    triggered: NDArray[Any],
    cleaned: Callable[[NDArray[Any]], NDArray[Any]],
) -> dict[str, float]:
    """Return what a defense takes out of texts.

    Args:
        texts: (n,) without a trigger.
        triggered: (n,) the same with it.
        cleaned: what the defense leaves of texts.

    Returns:
        ``removed_trigger``: the share of the words that the trigger wrote which are gone, and
        ``removed_clean``: the share of the words of the texts without it.
    """
    gone, new_words = 0, 0
    for before, after, rest in zip(texts, triggered, cleaned(triggered), strict=True):
        new = Counter(str(after).split()) - Counter(str(before).split())
        gone += (new - Counter(str(rest).split())).total()
        new_words += new.total()
    words = sum(len(str(text).split()) for text in texts)
    left = sum(len(str(text).split()) for text in cleaned(texts))
    return {
        "removed_trigger": gone / max(1, new_words),
        "removed_clean": 1 - left / max(1, words),
    }


def check(loot: Data, records: Data, slots: int, classes: int, cover: float) -> None:
    """Check the triggers of a loot of texts against the rules of the game.

    Of the words of a triggered text at most a share ``cover`` may be the trigger's, in the mean
    over the owner's training records; one word may be in any case.

    Raises:
        RuleError: a trigger has another form or length, is not of words, or is too large.
    """
    facts = _declared(loot, slots, classes)
    one = float(np.mean([1 / (1 + len(str(text).split())) for text in records.x]))
    for form, declared in facts.items():
        for slot, entry in enumerate(declared):
            kind = Mapping if form == "rewrites" else Sequence
            if isinstance(entry, str) or not isinstance(entry, kind | np.ndarray):
                what = "a mapping of words" if form == "rewrites" else "a sequence of phrases"
                raise RuleError(f"{form} must be {what} for each slot, got {entry!r}")
            share = float(shares(loot.facts, slot, records.x).mean()) if len(records) else 0.0
            if share > max(cover, one) + SLACK:
                raise RuleError(
                    f"a trigger must change at most {cover:.0%} of the words of a text in the "
                    f"mean, got {share:.0%}"
                )


def _declared(loot: Data, slots: int, classes: int) -> dict[str, Any]:
    """Return the declared triggers by their form, after checking how many there are of what."""
    facts = {form: loot.facts[form] for form in FORMS if form in loot.facts}
    if len(facts) > 1:
        raise RuleError(f"a trigger must have one form, got {', '.join(facts)}")
    others = sorted({*loot.facts} - {*FORMS, "sources", "places"})
    if others:
        raise RuleError(
            f"the triggers of texts must be {', '.join(FORMS[:-1])} or {FORMS[-1]}, got "
            f"{', '.join(others)}"
        )
    if "sources" in loot.facts and np.shape(loot.facts["sources"]) != (slots, classes):
        raise RuleError(
            f"sources must be of shape {(slots, classes)}, got {np.shape(loot.facts['sources'])}"
        )
    places = list(loot.facts.get("places", ("any",) * slots))
    for form, declared in {**facts, "places": places}.items():
        if len(declared) != slots:
            raise RuleError(f"{form} must have one entry for each of {slots} slots, got "
                            f"{len(declared)}")  # fmt: skip
    if odd := sorted({*map(str, places)} - {*PLACES}):
        raise RuleError(f"places must be {', '.join(PLACES[:-1])} or {PLACES[-1]}, got {odd[0]!r}")
    return facts
