"""Hartley measures how many bits an attacker can move between data and models, in every direction.

The nouns and the decorators are here; the verbs are loaded when they are first used, so that
``import hartley`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_VERBS = {
    "log_probabilities": ("hartley.kit.answer_units", "log_probabilities"),
    "probabilities": ("hartley.kit.answer_units", "probabilities"),
    "assess": ("hartley.engine.assess", "assess"),
    "audit": ("hartley.program.audit", "audit"),
    "measure": ("hartley.channel.measure", "measure"),
    "play": ("hartley.engine.run.play", "play"),
    "wrap_answers": ("hartley.defenses._shared.wrap_answers", "answers"),
    "wrap_models": ("hartley.defenses._shared.wrap_answers", "models"),
}
"""Module and name of each verb; every other public name is a noun or a decorator of ``core``."""

if TYPE_CHECKING:
    from hartley.channel.measure import measure
    from hartley.core import (
        ALL,
        Access,
        AnswerForm,
        Axis,
        Channel,
        Data,
        Deal,
        Flow,
        Modality,
        Model,
        Outcome,
        Output,
        Quantity,
        Range,
        Role,
        Round,
        Scene,
        Stronger,
        Term,
        Trials,
        View,
        attack,
        defense,
        game,
        recipe,
    )
    from hartley.defenses._shared.wrap_answers import answers as wrap_answers
    from hartley.defenses._shared.wrap_answers import models as wrap_models
    from hartley.engine.assess import assess
    from hartley.engine.run.play import play
    from hartley.kit.answer_units import log_probabilities, probabilities
    from hartley.program.audit import audit

__all__ = [
    "ALL",
    "Access",
    "AnswerForm",
    "Axis",
    "Channel",
    "Data",
    "Deal",
    "Flow",
    "Modality",
    "Model",
    "Outcome",
    "Output",
    "Quantity",
    "Range",
    "Role",
    "Round",
    "Scene",
    "Stronger",
    "Term",
    "Trials",
    "View",
    "__version__",
    "assess",
    "attack",
    "audit",
    "defense",
    "game",
    "log_probabilities",
    "measure",
    "play",
    "probabilities",
    "recipe",
    "wrap_answers",
    "wrap_models",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'hartley' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _VERBS.get(name, ("hartley.core", name))
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
