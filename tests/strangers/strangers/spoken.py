"""A language model behind an address: what a user writes to have an endpoint audited."""

from __future__ import annotations

import os

import numpy as np

from hartley.core import Codec, Data, Modality, Scene, recipe
from hartley.kit.language.text import pad
from hartley.kit.retry import Backoff
from hartley.targets.http import endpoint

WORDS = Codec(
    encode=lambda texts: pad([[int(word[1:]) for word in text.split()] for text in texts]),
    decode=lambda tokens: [
        " ".join(f"w{i}" for i in row if i >= 0) for row in np.asarray(tokens).tolist()
    ],
    size=50,
)


def texts(name: str, count: int = 40) -> Data:
    """The same texts in every process."""
    rng = np.random.default_rng([len(name), count])
    rows = WORDS.decode(rng.integers(0, WORDS.size, (count, 8)))
    return Data(name, Modality.LANGUAGE, np.array(rows, dtype=object))


@recipe(modality=Modality.LANGUAGE)
def spoken(*, revision: str = "") -> Scene:
    """An endpoint at $SPOKEN with a key, and texts that its model was trained on and others.

    Args:
        revision: which version is served there.
    """
    model = endpoint(
        os.environ["SPOKEN"],
        "small",
        key_env="SPOKEN_KEY",
        codec=WORDS,
        revision=revision,
        batch=3,
        timeout=5.0,
        backoff=Backoff(attempts=12, first=0.002, longest=0.02),
    )
    return Scene(
        "spoken", Modality.LANGUAGE, model=model, train=texts("members"), holdout=texts("others")
    )
