"""The nouns. Standard library only: importing them costs nothing."""

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
from hartley.core.parameters import Parameter, Range
from hartley.core.parts import Attack, Defense, Game, Recipe
from hartley.core.quantity import Kind, Quantity
from hartley.core.records import Channel, ChannelSpec, Trials
from hartley.core.scene import (
    Applied,
    Bound,
    Deal,
    Judge,
    Outcome,
    Received,
    Round,
    Scene,
    Settings,
    View,
)
from hartley.core.seeds import commitment, spawn
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

__all__ = [
    "ALL",
    "CAPABILITIES",
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
    "Outcome",
    "Output",
    "Parameter",
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
