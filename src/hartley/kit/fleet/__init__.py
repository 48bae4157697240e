"""Train K small networks on K known subsets of the same records, in one call."""

from hartley.kit.fleet.dp_training import Privacy, train_private
from hartley.kit.fleet.fleet import Fleet, train
from hartley.kit.fleet.objective import Apprentice, ForwardPass, Objective
from hartley.kit.fleet.training import Training, choose_strategy

__all__ = [
    "Apprentice",
    "Fleet",
    "ForwardPass",
    "Objective",
    "Privacy",
    "Training",
    "choose_strategy",
    "train",
    "train_private",
]
