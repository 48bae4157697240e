"""The place of each threat class: four axes (Seed A), six flows and three terms (Seed B).

The axis of a class is looked up in a *versioned* table: the two editions of Seed A place jailbreak
on different axes, and code with a fixed axis could follow only one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, StrEnum, auto
from types import MappingProxyType


class Axis(StrEnum):
    """Seed A (arXiv:2603.24857): from the asset the attacker holds to the asset that is harmed."""

    DATA_TO_DATA = "data_to_data"
    DATA_TO_MODEL = "data_to_model"
    MODEL_TO_DATA = "model_to_data"
    MODEL_TO_MODEL = "model_to_model"


class Flow(StrEnum):
    """Seed B (arXiv:2411.11195): the information flow a threat rides on."""

    PREDICTION = "prediction"
    LEARNING = "learning"
    INFERRING = "inferring"
    ACTION = "action"
    INTERACTION = "interaction"
    MEMORY = "memory"


class Term(StrEnum):
    """Seed B: which term of C = B·log2(1 + S/N) a threat or a defense moves."""

    SIGNAL = "signal"
    NOISE = "noise"
    BANDWIDTH = "bandwidth"


class Modality(StrEnum):
    """What a record is."""

    VISION = "vision"
    LANGUAGE = "language"
    AUDIO = "audio"
    GRAPH = "graph"
    TABULAR = "tabular"
    PAIRED = "paired"


ALL: tuple[Modality, ...] = tuple(Modality)


class Form(StrEnum):
    """How records look as an array."""

    ARRAY = "array"
    """(n, …) numbers: pictures, sound, tables."""
    TOKENS = "tokens"
    """(n, t) token ids, padded on the right with −1."""
    TEXT = "text"
    """(n,) strings."""
    MESSAGES = "messages"
    """(n,) conversations, each a sequence of ``{"role": …, "content": …}``."""
    NODES = "nodes"
    """(n, 1) or (n, 2) numbers of nodes of one graph."""
    GRAPHS = "graphs"
    """(n, …) small graphs, one a record."""
    PAIRS = "pairs"
    """(n, 2·d) numbers, the two halves of a pair side by side."""


class Access(Flag):
    """What an attacker may use. An attack declares it; the engine hides everything else.

    TRAIN is training models of the same recipe for comparison, TUNE is training the deployed model
    further (a fine-tuning endpoint), POISON is putting records into the owner's training data.
    """

    NOTHING = 0
    LABELS = auto()
    SCORES = auto()
    EMBEDDINGS = auto()
    GRADIENTS = auto()
    WEIGHTS = auto()
    TRAIN = auto()
    POISON = auto()
    TOOLS = auto()
    TUNE = auto()

    @property
    def words(self) -> tuple[str, ...]:
        """The single flags, as lower-case words."""
        return tuple(flag.name.lower() for flag in self if flag.name)


class Role(StrEnum):
    """Which way information runs in a game."""

    TAP = "tap"
    """victim → attacker: success means that I(secret; observation) is large."""
    INJECT = "inject"
    """attacker → system: success means that I(message; behaviour) is large."""
    JAM = "jam"
    """the attacker adds noise to a legitimate channel: success means that its capacity falls."""


class AnswerForm(StrEnum):
    """The form of one answer, which settles how it is measured."""

    SCORE = "score"
    """a real number for a secret bit, larger = more like truth 1."""
    SYMBOL = "symbol"
    """one of K symbols, or −1 to abstain (an erasure)."""
    RANK = "rank"
    """the place (1 = first) of the true secret among R candidates, by the attacker's scores."""


class Knowledge(StrEnum):
    """What an attacker knows of the defenses that a scene holds."""

    NONE = "none"
    """there is no defense to know of."""
    STATIC = "static"
    """works as if there were no defense, and trains reference models without one."""
    ADAPTIVE = "adaptive"
    """sees the defenses and their parameters, and trains reference models behind them."""


class Slot(StrEnum):
    """Where what one attack brought home enters the scene of the next."""

    TRAIN = "train"
    """the owner's training records."""
    PUBLIC = "public"
    """records that the attacker owns."""
    SOURCE = "source"
    """what the attacker holds in place of the deployed model."""
    PROMPT = "prompt"
    """what is put before the user's text."""
    MEMORY = "memory"
    """what an agent remembers."""


class Loot(StrEnum):
    """What kind of asset an attack brings home."""

    RECORDS = "records"
    """records that were rebuilt, found or collected."""
    POISON = "poison"
    """labelled records made to be trained on."""
    MODEL = "model"
    """a model of the attacker's own."""
    TEXTS = "texts"
    """texts or messages."""


EDITION = "arxiv-v1"

_ARXIV: dict[str, Axis] = {
    "decryption": Axis.DATA_TO_DATA,
    "watermark": Axis.DATA_TO_DATA,
    "poisoning": Axis.DATA_TO_MODEL,
    "finetuning": Axis.DATA_TO_MODEL,
    "jailbreak": Axis.DATA_TO_MODEL,
    "alignment": Axis.DATA_TO_MODEL,
    "injection": Axis.DATA_TO_MODEL,
    "memory_poison": Axis.DATA_TO_MODEL,
    "membership": Axis.MODEL_TO_DATA,
    "inversion": Axis.MODEL_TO_DATA,
    "memorization": Axis.MODEL_TO_DATA,
    "memory_leak": Axis.MODEL_TO_DATA,
    "extraction": Axis.MODEL_TO_MODEL,
    "infection": Axis.MODEL_TO_MODEL,
}

AXES: Mapping[str, Mapping[str, Axis]] = MappingProxyType(
    {
        "arxiv-v1": MappingProxyType(_ARXIV),
        "openreview": MappingProxyType({**_ARXIV, "jailbreak": Axis.DATA_TO_DATA}),
    }
)

SEED_A_CLASSES: tuple[str, ...] = (
    "decryption",
    "watermark",
    "poisoning",
    "finetuning",
    "jailbreak",
    "inversion",
    "membership",
    "memorization",
    "extraction",
)
"""Seed A's nine threat classes; the others are Seed B's or Hartley's own."""


def axis_of(cls: str, edition: str = EDITION) -> Axis:
    """Return the axis of a threat class.

    Args:
        cls: name of the class, for example ``membership``.
        edition: which edition of Seed A to follow, a key of ``AXES``.

    Raises:
        KeyError: the class or the edition is not in the table.
    """
    return AXES[edition][cls]
