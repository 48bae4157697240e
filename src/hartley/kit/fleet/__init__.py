"""Train K small networks on K known subsets of the same records, in one call."""

from hartley.kit.fleet.fleet import Fleet, train
from hartley.kit.fleet.plan import Training, choose

__all__ = ["Fleet", "Training", "choose", "train"]
