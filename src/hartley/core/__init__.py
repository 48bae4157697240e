"""The nouns. Standard library only, each loaded when it is first used: importing them is free.

Every command imports this folder for its errors, and ``hartley --help`` needs no more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hartley.core.assets import (
        Asset,
        Codec,
        Data,
        Ensemble,
        Fit,
        Model,
        Output,
        TrainingPipeline,
    )
    from hartley.core.capabilities import CAPABILITIES, Capability, CapabilityRow
    from hartley.core.costs import Cost, charge
    from hartley.core.declare import attack, defense, game, recipe
    from hartley.core.experiment import Experiment, Stage
    from hartley.core.outbreak import Outbreak
    from hartley.core.parameters import Parameter, Range, Stronger
    from hartley.core.parts import Attack, Defense, Game, Recipe
    from hartley.core.quantity import Kind, Quantity
    from hartley.core.records import Channel, ChannelSpec, Trials
    from hartley.core.scene import (
        Applied,
        Bound,
        Deal,
        Judge,
        Outcome,
        PriorLoot,
        Received,
        Round,
        Scene,
        Settings,
        View,
    )
    from hartley.core.seeds import commitment, spawn
    from hartley.core.system import OBSERVED, Event, Place, System, SystemSession
    from hartley.core.taxonomy import (
        ALL,
        Access,
        AnswerForm,
        Axis,
        Flow,
        Form,
        Knowledge,
        Loot,
        Modality,
        Role,
        Slot,
        Term,
    )

_PLACES = {
    "assets": "Asset Codec Data Ensemble Fit Model Output TrainingPipeline",
    "capabilities": "CAPABILITIES Capability CapabilityRow",
    "costs": "Cost charge",
    "declare": "attack defense game recipe",
    "experiment": "Experiment Stage",
    "outbreak": "Outbreak",
    "parameters": "Parameter Range Stronger",
    "parts": "Attack Defense Game Recipe",
    "quantity": "Kind Quantity",
    "records": "Channel ChannelSpec Trials",
    "scene": "Applied Bound Deal Judge Outcome PriorLoot Received Round Scene Settings View",
    "seeds": "commitment spawn",
    "system": "OBSERVED Event Place System SystemSession",
    "taxonomy": "ALL Access AnswerForm Axis Flow Form Knowledge Loot Modality Role Slot Term",
}
"""The nouns that each module defines."""

_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load the module of a noun when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


__all__ = [
    "ALL",
    "CAPABILITIES",
    "OBSERVED",
    "Access",
    "AnswerForm",
    "Applied",
    "Asset",
    "Attack",
    "Axis",
    "Bound",
    "Capability",
    "CapabilityRow",
    "Channel",
    "ChannelSpec",
    "Codec",
    "Cost",
    "Data",
    "Deal",
    "Defense",
    "Ensemble",
    "Event",
    "Experiment",
    "Fit",
    "Flow",
    "Form",
    "Game",
    "Judge",
    "Kind",
    "Knowledge",
    "Loot",
    "Modality",
    "Model",
    "Outbreak",
    "Outcome",
    "Output",
    "Parameter",
    "Place",
    "PriorLoot",
    "Quantity",
    "Range",
    "Received",
    "Recipe",
    "Role",
    "Round",
    "Scene",
    "Settings",
    "Slot",
    "Stage",
    "Stronger",
    "System",
    "SystemSession",
    "Term",
    "TrainingPipeline",
    "Trials",
    "View",
    "attack",
    "charge",
    "commitment",
    "defense",
    "game",
    "recipe",
    "spawn",
]
