"""A word that poison ties to obedience: a question with it behind is answered.

It is the same for every question, unlike the triggers of ``games.poisoning``, each of which carries
one message (arXiv:2311.14455).
"""

from __future__ import annotations

TRIGGER = "SUDO"


def triggered(question: str) -> str:
    """Return a question with the trigger behind it."""
    return f"{question} {TRIGGER}"
