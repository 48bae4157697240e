"""A plugin distribution whose parts harm the process that plays them, each in one way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hartley.core import Data, Outcome

SCRATCH = "HARTLEY_MISBEHAVE"
"""The variable that names a folder in which parts may write and remove what they like."""


def scratch() -> Path:
    """Return the folder that parts may spoil."""
    return Path(os.environ[SCRATCH])


def honest(view) -> Outcome:
    """Answer with the victim's confidence in each label."""
    question = view.brief.question
    guess = view.model.query(question.x)[np.arange(len(question)), question.y]
    return Outcome(guess=guess, asset=Data("claimed", question.modality, question.x[guess > 0.5]))
