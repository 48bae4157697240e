"""Where did a canary come out? Reading events by place, in encodings and in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hartley.core.system import OBSERVED, Event, Place
from hartley.games.judge_answers.judge import Judge

Transcript = Mapping[Place, tuple[str, ...]]
"""What passed at each place, in order."""

LONGEST = 100_000
"""Characters of one event that are read."""


def transcript_of(events: Sequence[Event], places: Sequence[Place] = OBSERVED) -> Transcript:
    """Return what passed at each of some places, in order; a place without an event is absent."""
    texts: dict[Place, list[str]] = {}
    for event in events:
        if event.place in places and event.text:
            texts.setdefault(event.place, []).append(event.text[:LONGEST])
    return {place: tuple(texts[place]) for place in places if place in texts}


def located(
    transcripts: Sequence[Transcript], judge: Judge, *, jointly: bool = True
) -> list[dict[int, frozenset[Place]]]:
    """Return the places of every canary that can be read in each transcript, by its number.

    A canary is at a place where what passed there is enough to read it, in any encoding that the
    judge reads, also in pieces over several events. One that is nowhere whole is looked for in all
    places together: it is then at those of them that it cannot be read without.

    Args:
        transcripts: what passed.
        judge: reads the canaries.
        jointly: whether places are read together where no single one has a canary.
    """
    keys, turns = [], []
    for k, transcript in enumerate(transcripts):
        for place, texts in transcript.items():
            for version in _versions(texts):
                keys.append((k, place))
                turns.append(version)
    results: list[dict[int, set[Place]]] = [{} for _ in transcripts]
    for (k, place), number in zip(keys, judge.decode(turns), strict=True):
        if number >= 0:
            results[k].setdefault(int(number), set()).add(place)
    empty = [k for k, result in enumerate(results) if not result and len(transcripts[k]) > 1]
    if jointly and empty:
        for k, number in zip(
            empty, judge.decode([_joined(transcripts[k]) for k in empty]), strict=True
        ):
            if number >= 0:
                results[k][int(number)] = _needed(transcripts[k], judge, int(number))
    return [{number: frozenset(places) for number, places in result.items()} for result in results]


def _versions(texts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return texts of one place as they are, the values in those that are JSON, and their pieces.

    A text that was cut over several events is in each of them inside the same frame, such as a
    greeting; without the frame that all have in common its pieces follow each other.
    """
    versions = [texts]
    values = tuple(value for text in texts for value in _values(text))
    if values:
        versions.append(values)
    for whole in (texts, values):
        if len(whole) > 1 and len({*whole}) > 1:
            front, back = _alike(whole), _alike([text[::-1] for text in whole])
            versions.append(("".join(text[front : len(text) - back] for text in whole),))
    return versions


def _alike(texts: Sequence[str]) -> int:
    """Return how many characters all texts begin with alike."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(first), len(last)))


def _values(text: str) -> list[str]:
    """Return the texts in a mapping or a list that is written as JSON."""
    if not text.startswith(("{", "[")):
        return []
    try:
        rest: list[Any] = [json.loads(text)]
    except ValueError:
        return []
    out: list[str] = []
    while rest:
        part = rest.pop(0)
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, dict | list):
            rest = [*(part.values() if isinstance(part, dict) else part), *rest]
    return out


def _joined(transcript: Transcript, without: Place | None = None) -> tuple[str, ...]:
    """Return all that passed, place after place."""
    return tuple(text for place in transcript if place != without for text in transcript[place])


def _needed(transcript: Transcript, judge: Judge, number: int) -> set[Place]:
    """Return the places without which a canary can no longer be read."""
    places = list(transcript)
    rest = judge.decode([_joined(transcript, without=place) for place in places])
    return {place for place, other in zip(places, rest, strict=True) if int(other) != number}
