"""The public model that a deployed language model was fine-tuned from."""

from __future__ import annotations

from dataclasses import dataclass

from hartley.core import Model


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What anyone can ask besides the deployed model, at no cost.

    Attributes:
        model: it was trained on none of the records in question, and reads the same tokens.
    """

    model: Model

    @property
    def identity(self) -> str:
        """What the model declares itself to be, for the identity of a scene."""
        return self.model.identity
