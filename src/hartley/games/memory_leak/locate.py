"""Where did a canary come out? Reading events by place, in encodings and in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hartley.core.system import OBSERVED, Event, Place
from hartley.games.judge_answers.judge import Judge

Transcript = Mapping[Place, tuple[str, ...]]
"""What passed at each place, in order."""

WINDOW = 90_000
"""Characters that are read at once; the judge reads at most 100,000."""

OVERLAP = 15_000
"""Characters that two neighbouring windows have in common."""


def transcript_of(events: Sequence[Event], places: Sequence[Place] = OBSERVED) -> Transcript:
    """Return what passed at each of some places, in order; a place without an event is absent."""
    texts: dict[Place, list[str]] = {}
    for event in events:
        if event.place in places and event.text:
            texts.setdefault(event.place, []).append(event.text)
    return {place: tuple(texts[place]) for place in places if place in texts}


def located(
    transcripts: Sequence[Transcript], judge: Judge, *, jointly: bool = True
) -> list[dict[int, frozenset[Place]]]:
    """Return the places of every canary that can be read in each transcript, by its number.

    A canary is at a place where what passed there is enough to read it, in any encoding that the
    judge reads, also in pieces over several events. One that is nowhere whole is looked for in all
    places together: it is then at those of them that it cannot be read without. What is longer
    than ``WINDOW`` is read in windows that overlap; :func:`too_long` says where pieces may be too
    far apart for one.

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
    for (k, place), numbers in zip(keys, _read(turns, judge), strict=True):
        for number in numbers:
            results[k].setdefault(number, set()).add(place)
    empty = [k for k, result in enumerate(results) if not result and len(transcripts[k]) > 1]
    if jointly and empty:
        joint = _read([_joined(transcripts[k]) for k in empty], judge)
        for k, numbers in zip(empty, joint, strict=True):
            for number in numbers:
                results[k][number] = _needed(transcripts[k], judge, number)
    return [{number: frozenset(places) for number, places in result.items()} for result in results]


def too_long(transcript: Transcript, *, jointly: bool = True) -> frozenset[Place]:
    """Return the places whose pieces may be too far apart to be read in one window.

    Args:
        transcript: what passed.
        jointly: whether places are read together too.
    """
    sizes = {place: sum(map(len, texts)) for place, texts in transcript.items()}
    if jointly and len(sizes) > 1 and sum(sizes.values()) > WINDOW:
        return frozenset(sizes)
    return frozenset(
        place for place, size in sizes.items() if size > WINDOW and len(transcript[place]) > 1
    )


def _read(turns: Sequence[tuple[str, ...]], judge: Judge) -> list[frozenset[int]]:
    """Return the canaries that can be read in each sequence of texts, window by window."""
    out: list[set[int]] = [set() for _ in turns]
    windows = [(k, window) for k, texts in enumerate(turns) for window in _windows(texts)]
    numbers = judge.every([window for _, window in windows])
    for (k, _), read in zip(windows, numbers, strict=True):
        assert read is not None  # a window is shorter than what the judge reads
        out[k] |= read
    return [frozenset(numbers) for numbers in out]


def _windows(texts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return texts in windows of ``WINDOW`` characters that overlap, each with its parts of them.

    A text is at the place where it begins behind all before it.
    """
    size = sum(map(len, texts))
    if size <= WINDOW:
        return [texts]
    windows = []
    for start in range(0, size - OVERLAP, WINDOW - OVERLAP):
        parts, begin = [], 0
        for text in texts:
            first, last = max(start - begin, 0), min(start + WINDOW - begin, len(text))
            if first < last:
                parts.append(text[first:last])
            begin += len(text)
        windows.append(tuple(parts))
    return windows


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
    rest = _read([_joined(transcript, without=place) for place in places], judge)
    return {place for place, others in zip(places, rest, strict=True) if number not in others}
