"""Perplexity filter: refuse messages that are less expected than benign questions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Model, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.defenses._shared.wrap_chat import (
    ChatDefense,
    Conversation,
    owner_texts,
    said,
    wrap_chat,
)
from hartley.games.withheld_secrets import Withheld
from hartley.kit.language.text import pad
from hartley.kit.language.word_model import WordModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

Surprise = Callable[[str], "NDArray[np.float64]"]
"""A message → nats of each of its units."""

CAPITAL, SPACE = "<capital>", "<space>"


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2308.14132",
    strongest={"false_alarms": 0.2, "reader": "reference"},
    requires=("model", "withheld"),
)
def perplexity_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.02,
    window: Annotated[int, Range(0)] = 10,
    reader: Literal["reference", "victim"] = "reference",
) -> Scene:
    """Refuse a conversation one of whose messages has a passage of too high perplexity.

    The threshold is what all but a share ``false_alarms`` of the owner's benign questions stay
    below. The reference is a trigram model of characters that is trained on half of them, and
    calibrated on the other half; the papers ask GPT-2 (arXiv:2308.14132) or the victim itself
    (arXiv:2309.00614). An answer that is begun by the user is read as a message too.

    Args:
        false_alarms: share of benign questions above the threshold.
        window: tokens, or characters of the reference, of a passage; 0 is the whole message.
        reader: whose perplexity it is.

    Raises:
        UsageError: there are too few benign questions, or the victim has no scores.
    """
    _, benign = owner_texts(scene)
    half = rng.permutation(len(benign))
    texts = [benign[i] for i in half]
    half_size = len(texts) // 2
    reference = WordModel(map(_spelled, texts[:half_size])) if reader == "reference" else None
    part = scene.part(Withheld)

    def make(model: Model) -> ChatDefense:
        surprise: Surprise
        if reference is not None:
            surprise = lambda text: reference.surprise(_spelled(text))  # noqa: E731
        else:
            surprise = _victims(model, part)

        @lru_cache(maxsize=2**16)
        def worst(text: str) -> float:
            # Beside a file nothing may be typed, and nothing is not a surprise: not even its end.
            return passage(surprise(text), window) if text.strip() else 0.0

        limit = float(
            np.quantile([worst(t) for t in texts[half_size:]], 1 - false_alarms, method="higher")
        )

        def refuses(conversations: Sequence[Conversation]) -> NDArray[np.bool_]:
            return np.array(
                [any(worst(text) > limit for text in said(turns)) for turns in conversations], bool
            )

        return ChatDefense(refuses=refuses)

    return wrap_chat(scene, make)


def passage(nats: NDArray[np.float64], window: int) -> float:
    """Return the largest mean of ``window`` units in a row, or of all where there are fewer."""
    if not len(nats):
        return 0.0
    if not window or len(nats) <= window:
        return float(nats.mean())
    sums = np.concatenate([[0.0], np.cumsum(nats)])
    return float((sums[window:] - sums[:-window]).max() / window)


def _spelled(text: str) -> str:
    """Return a text as units for a model of words: characters, and a mark before a capital."""
    out = []
    for letter in text:
        if letter.lower() != letter:
            out.append(CAPITAL)
        out.append(SPACE if letter.isspace() else letter.lower())
    return " ".join(out)


def _victims(model: Model, part: Withheld) -> Surprise:
    """Return the surprise of the victim at the tokens of a message in its template."""
    codec, score = model.codec, model.calls.get("score")
    if codec is None or score is None:
        raise UsageError(
            f"{model.name!r} must have scores and a codec for reader 'victim': use 'reference'"
        )
    template = part.template
    before = int((np.asarray(codec.encode([template.start + template.user_open])) >= 0).sum())

    def surprise(text: str) -> NDArray[np.float64]:
        rows = np.asarray(codec.encode([template.start + template.user_open + text]))
        size = int((rows >= 0).sum())
        if size < 2:
            return np.zeros(0)
        nats = -np.asarray(score(pad(rows.tolist())))[0]
        return np.asarray(nats[max(before, 1) - 1 : size - 1], np.float64)

    return surprise
