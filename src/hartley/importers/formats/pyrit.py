"""An export of PyRIT's memory: the share of responses that a scorer counts, for each scorer.

Read in the source of PyRIT 0.9 to 0.14 (``memory_exporter.py``, ``models/score.py``): the JSON list
that ``export_conversations`` writes, one message piece an entry, with its ``scores``. A score of
type ``true_false`` is true or false, one of ``float_scale`` is in 0..1. What true means is the
scorer's own matter: of a refusal scorer it is a refusal. Responses to one objective are one
cluster; without objectives, those of conversations that begin with one prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hartley.importers.outcomes import Collected, Rates, share
from hartley.importers.source import Source

READS = "PyRIT export (.json)"


def recognises(source: Source) -> bool:
    """Whether the document is a list of message pieces."""
    pieces = source.document
    if not isinstance(pieces, list) or not pieces or not isinstance(pieces[0], dict):
        return False
    return pieces[0].keys() >= {"conversation_id", "role", "converted_value"}


def read(source: Source) -> Rates:
    """Return one rate for each scorer."""
    pieces = source.document
    if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
        raise source.broken("an export of PyRIT must be a list of message pieces", "it is not")
    prompts = _first_prompts(pieces)
    collected = Collected()
    for piece in pieces:
        conversation = str(piece.get("conversation_id"))
        for score in _scores(source, piece):
            name = _scorer(score)
            value = _value(score)
            if value is None:
                collected.leave_out(f"scores of {name} that ended in an error or are not in 0..1")
                continue
            objective = score.get("objective", score.get("task"))
            prompt = prompts.get(conversation, conversation)
            collected.add(name, value, str(objective) if objective else prompt)
    groups = collected.groups()
    if not groups:
        raise source.broken(
            "an export of PyRIT must have message pieces with scores",
            "; ".join(collected.notes())
            or f"it has {len(pieces)} pieces without scores; export them with their scores",
        )
    return Rates(
        groups,
        quantity="share of responses that the scorer counts as true (of a scale: its mean)",
        unit="scored response",
        shared="the objective, or the first prompt of its conversation",
        notes=collected.notes(),
    )


def _first_prompts(pieces: list[dict[str, Any]]) -> dict[str, str]:
    """Return the user's first prompt of each conversation."""
    first: dict[str, tuple[float, str]] = {}
    for piece in pieces:
        place = piece.get("sequence")
        if piece.get("role") == "user" and isinstance(place, int | float):
            conversation = str(piece.get("conversation_id"))
            before = first.get(conversation)
            if before is None or place < before[0]:
                first[conversation] = (float(place), str(piece.get("original_value")))
    return {conversation: text for conversation, (_, text) in first.items()}


def _scores(source: Source, piece: dict[str, Any]) -> Iterator[dict[str, Any]]:
    scores = piece.get("scores") or []
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        raise source.broken(f"the scores of piece {piece.get('id')} must be a list", "of objects")
    return iter(scores)


def _scorer(score: dict[str, Any]) -> str:
    identifier = score.get("scorer_class_identifier")
    names = identifier if isinstance(identifier, dict) else {}
    name = next((names[key] for key in ("class_name", "__type__") if names.get(key)), "scorer")
    categories = score.get("score_category")
    listed = categories if isinstance(categories, list) else [categories]
    category = ", ".join(str(one) for one in listed if one)
    return f"{name} / {category}" if category else str(name)


def _value(score: dict[str, Any]) -> float | None:
    text = str(score.get("score_value")).lower()
    if score.get("status") == "error":
        return None
    if score.get("score_type") == "true_false" or text in ("true", "false"):
        return {"true": 1.0, "false": 0.0}.get(text)
    try:
        return share(float(text))
    except ValueError:
        return None
