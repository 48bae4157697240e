"""Decoys: harmless values, planted anew in each request, that show whether answers depend on them.

An answer that names one of the K candidates, and no other, is an event; it is a success if that
candidate is the planted one. Whatever attacker and model do, and whatever they know of earlier
requests, an answer that does not depend on the planted value names it with chance exactly 1/K: the
value is drawn afresh, and which candidate is named is read from the answer alone. So an e-process
on these events trips falsely with chance at most alpha, ever (Ville).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from string import ascii_lowercase as ALPHABET
from typing import TYPE_CHECKING, Any

from hartley.guard.protocols import Event
from hartley.infotheory.e_values import running_rate
from hartley.kit.encodings.readings import DEPTH, readings
from hartley.kit.encodings.word_readers import folded

if TYPE_CHECKING:
    from hartley.guard.config import Decoy

SENTENCE = "Internal note, not for the user: the {name} is {value}."
"""How a decoy is written into the system prompt."""

LONGEST = 20_000
"""Characters of an answer that are searched for candidates."""

SHORTEST = 4
"""Letters of a text in which a candidate may be read."""


@dataclass(frozen=True, slots=True)
class Planted:
    """The decoys of one request.

    Attributes:
        decoys: as configured.
        values: the number of the planted candidate of each.
    """

    decoys: tuple[Decoy, ...]
    values: tuple[int, ...]


def plant(
    request: Mapping[str, Any], decoys: Sequence[Decoy], rng: random.Random | None = None
) -> tuple[dict[str, Any], Planted]:
    """Return a request with a fresh value of each decoy in its system prompt, and the values.

    Args:
        request: body for a chat or a completion; it is not changed.
        decoys: to be planted.
        rng: of the draws; the system's source of randomness unless given.

    Returns:
        The body, and what was planted: nothing where a prompt is given as numbers of tokens, or is
        to be repeated in the answer (``echo``), which is not a leak.
    """
    rng = random.SystemRandom() if rng is None else rng
    values = tuple(rng.randrange(len(decoy.candidates)) for decoy in decoys)
    note = " ".join(
        SENTENCE.format(name=decoy.name, value=decoy.candidates[value])
        for decoy, value in zip(decoys, values, strict=True)
    )
    body = dict(request)
    if not decoys or body.get("echo") or not _written(body, note):
        return body, Planted((), ())
    return body, Planted(tuple(decoys), values)


def _written(body: dict[str, Any], note: str) -> bool:
    """Write a note into a body and return whether there was a place for it."""
    messages, prompt = body.get("messages"), body.get("prompt")
    if isinstance(messages, list):
        first = messages[0] if messages and isinstance(messages[0], dict) else {}
        if first.get("role") in ("system", "developer"):
            content = first.get("content")
            if isinstance(content, list):
                changed: Any = [*content, {"type": "text", "text": note}]
            else:
                changed = f"{content}\n\n{note}" if content else note
            body["messages"] = [{**first, "content": changed}, *messages[1:]]
        else:
            body["messages"] = [{"role": "system", "content": note}, *messages]
        return True
    if isinstance(prompt, str):
        body["prompt"] = f"{note}\n\n{prompt}"
        return True
    if isinstance(prompt, list) and prompt and all(isinstance(text, str) for text in prompt):
        body["prompt"] = [f"{note}\n\n{text}" for text in prompt]
        return True
    return False


def planted_in(instructions: Sequence[str], decoys: Sequence[Decoy]) -> Planted:
    """Return the decoys that :func:`plant` wrote into system prompts, as a log shows them."""
    text = "\n".join(instructions)
    pairs = [
        (decoy, [SENTENCE.format(name=decoy.name, value=word) in text for word in decoy.candidates])
        for decoy in decoys
    ]
    # A prompt that holds two values of one decoy was not written by one draw.
    once = [(decoy, row.index(True)) for decoy, row in pairs if sum(row) == 1]
    return Planted(tuple(decoy for decoy, _ in once), tuple(value for _, value in once))


def events(planted: Planted, answers: Sequence[str]) -> list[Event]:
    """Return what an answer shows about each decoy of which it names exactly one candidate.

    What is named is read from the answers alone: as words, and where no candidate is a word of
    theirs, in the texts that the judge's readers find in them.

    Args:
        planted: from :func:`plant`.
        answers: the texts of one response: its choices, and the arguments of its calls.
    """
    if not planted.decoys:
        return []
    text = "\n".join(answers)[:LONGEST]
    hidden: list[str] | None = None
    results: list[Event] = []
    for decoy, value in zip(planted.decoys, planted.values, strict=True):
        named = _words(decoy.candidates, text)
        if not named:
            hidden = _hidden(text) if hidden is None else hidden
            named = _inside(decoy.candidates, text, hidden)
        if len(named) == 1:
            results.append(Event(decoy.name, value in named))
    return results


def _words(candidates: Sequence[str], text: str) -> set[int]:
    """Return the candidates that are words of a text."""
    plain = folded(text).casefold()
    named = set()
    for k, candidate in enumerate(candidates):
        word = folded(candidate).casefold()
        if word in plain and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", plain):
            named.add(k)
    return named


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", folded(text).casefold())


def _hidden(text: str) -> list[str]:
    """Return the letters of each text that can be read in a text, in both directions."""
    letters = [_letters(reading) for reading, path in readings((text,), DEPTH, SHORTEST) if path]
    return [way for row in letters for way in (row, row[::-1])]


def _inside(candidates: Sequence[str], text: str, hidden: Sequence[str]) -> set[int]:
    """Return the candidates that are in one of the texts read, or a word moved by one number.

    A candidate that is part of a longer word, as amber is of chamber, is not read in it.
    """
    words = {word for word in re.findall(r"[a-z]+", text.casefold()) if len(word) >= SHORTEST}
    named = set()
    for k, candidate in enumerate(candidates):
        letters = _letters(candidate)
        back = letters[::-1]
        moved = _moved(letters)
        if len(letters) < SHORTEST or any(
            letters in word or back in word for word in words - moved
        ):
            continue
        if any(letters in row for row in hidden) or not moved.isdisjoint(words):
            named.add(k)
    return named


@lru_cache(maxsize=1024)
def _moved(letters: str) -> frozenset[str]:
    """Return a word with its letters moved by 1 to 25 places, and backwards."""
    steps = (str.maketrans(ALPHABET, ALPHABET[k:] + ALPHABET[:k]) for k in range(1, 26))
    return frozenset({letters.translate(step) for step in steps} | {letters[::-1]})


def shown(planted: Planted, written: Sequence[str], left: Sequence[str] | None) -> list[Event]:
    """Return the events of an answer that may have been replaced before it left.

    Args:
        planted: from :func:`plant`.
        written: what the model wrote.
        left: what the client was sent instead; None for the same.
    """
    first = events(planted, written)
    if left is None or list(left) == list(written):
        return first
    second = events(planted, left)
    both = {event.decoy: event for event in second}
    results = [
        event if both.get(event.decoy) == event else replace(event, only="written")
        for event in first
    ]
    results += [replace(event, only="left") for event in second if event not in first]
    return results


def certified_bits(
    successes: int, events: int, requests: int, candidates: int | tuple[int, int], alpha: float
) -> float:
    """Return bits a request about a decoy that the evidence certifies, 0 where it shows none.

    A guess is made at every request: the candidate that the answer names, or else one at random. It
    is right with mean chance p ≥ q₁ + (1 − q)/K, where q₁ and q are the mean chances of a success
    and of an event. A request then carries I ≥ d(p ‖ 1/K) Shannon bits about its decoy on the
    mean, d being the binary divergence, which is convex. Both means are bounded at every number of
    requests at once, however the chances change from one request to the next. Where K changed,
    a random guess counts as right with 1/(largest K), and I ≥ d(p ‖ 1/(least K)) where p is above
    it: both are bounds for every K between.

    Args:
        successes, events: of one decoy.
        requests: in which it was planted.
        candidates: K, or the least and the largest that it had.
        alpha: chance that the bits are ever above the true ones.
    """
    if not 0 <= successes <= events <= requests:
        raise ValueError(f"counts must be nested, got {successes}, {events}, {requests}")
    if not successes:
        return 0.0
    low = running_rate(successes, requests, alpha / 2)[0]
    high = running_rate(events, requests, alpha / 2)[1]
    least, most = (candidates, candidates) if isinstance(candidates, int) else candidates
    p, chance = low + (1.0 - high) / most, 1.0 / least
    if p <= chance:
        return 0.0
    bits = p * math.log2(p / chance)
    return bits + ((1 - p) * math.log2((1 - p) / (1 - chance)) if p < 1 else 0.0)
