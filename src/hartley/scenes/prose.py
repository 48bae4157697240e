"""Prose: a small language model continues passages of a novel, and marks what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Settings, Stronger, recipe, spawn
from hartley.core.errors import UsageError
from hartley.data import language
from hartley.kit.cache import digest
from hartley.kit.item_quality import texts as by_words
from hartley.kit.language import gpt, text
from hartley.kit.language.marks import green_tokens
from hartley.kit.language.marks.exponential import exponential
from hartley.kit.language.marks.marked_writer import small_transformer
from hartley.kit.language.marks.payload import payload
from hartley.kit.language.marks.text_mark import TextMark
from hartley.kit.language.marks.text_marker import Author, text_marker
from hartley.kit.language.marks.tournament import synthid
from hartley.kit.marker import DetectionService, KeyUse
from hartley.models.text_pipeline import TextPipeline
from hartley.models.text_quality import by_meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CONTEXT = 256
PROMPT = 16
HELD_OUT = 0.2
"""Share of the novel that the model does not read: prompts are from it."""

MARKS: dict[str, Callable[[], TextMark]] = {
    "kgw": green_tokens.kgw,
    "self_hash": green_tokens.self_hash,
    "unigram": green_tokens.unigram,
    "exponential": exponential,
    "synthid": synthid,
    "payload": payload,
}


@recipe(modality=Modality.LANGUAGE, extras=("language",))
def prose(
    *,
    mark: Literal["kgw", "self_hash", "unigram", "exponential", "synthid", "payload"] = "kgw",
    tokens: Annotated[int, Range(8, CONTEXT - PROMPT)] = 200,
    bits: Annotated[int, Range(1, 32)] = 16,
    temperature: Annotated[float, Range(0, open_low=True)] = 0.8,
    owners: Annotated[int, Range(0, 1000)] = 0,
    similarity: Literal["words", "meaning"] = "words",
    epochs: Annotated[int, Range(0)] = 2,
    unmarked: Annotated[int, Range(1, 512)] = 64,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A transformer of 0.7 million parameters that writes prose after Jane Austen, marked.

    The attacker holds texts that the model wrote without a mark, and passages of the novel.

    Args:
        mark: how the owner marks what the model writes; ``payload`` carries a message, the others
            say presence alone.
        tokens: of each text.
        bits: of a message.
        temperature: of the model's law; less makes it surer, and leaves a mark less room.
        owners: keys that the texts are shared out among; 0: each text has a key of its own. Fewer
            save writing the further texts of each owner, but intervals are over owners.
        similarity: what a rewritten text is held to: ``words`` (F1 of the words), or ``meaning``
            (MiniLM's cosine and the model's perplexity; needs the pack minilm).
        epochs: passes over the novel.
        unmarked: texts of either kind that the attacker holds.
        seed: of the training and of the texts.
    """
    words = text.byte_pair(language.novel())
    ids = np.array(words.encode(language.novel()), dtype=np.int64)
    cut = int(len(ids) * (1 - HELD_OUT)) // CONTEXT * CONTEXT
    rows, rest = ids[:cut].reshape(-1, CONTEXT), ids[cut:]
    shape = gpt.Shape(vocabulary=words.size, width=128, layers=2, context=CONTEXT)
    owner = TextPipeline(
        shape,
        gpt.Lesson(epochs=epochs, batch=2, rate=4e-3),
        name="prose",
        codec=text.codec(words),
    )
    train = Data("train", Modality.LANGUAGE, rows)
    fitted = owner.fit(train, np.ones((1, len(rows)), dtype=bool), seed)
    model = fitted.member(0).with_(codec=text.codec(words))
    prompts = _windows(rest, PROMPT, stride=64)
    author = Author(
        small_transformer(_tensors(fitted.facts["states"](0)), shape),
        words,
        tokens,
        temperature,
        prompt=PROMPT,
    )
    rng = np.random.default_rng(spawn(seed, "unmarked", "prose"))
    starts = rng.permutation(len(rows))[:unmarked]
    if len(starts) < unmarked:
        raise UsageError(f"unmarked must be at most {len(rows)}, got {unmarked}")
    written = author.continued([words.decode(row) for row in rows[starts, :PROMPT].tolist()], rng)
    human = [words.decode(row) for row in rows[starts, PROMPT : PROMPT + tokens].tolist()]
    quality = by_words() if similarity == "words" else by_meaning(model, text.codec(words))
    return Scene(
        name="prose",
        modality=Modality.LANGUAGE,
        digest=digest(
            {
                "version": hartley.__version__,
                "recipe": owner.recipe,
                "words": words.digest,
                "rows": rows,
                "mark": [mark, tokens, bits, temperature, owners, similarity, unmarked],
                "seed": seed,
            }
        ),
        model=model,
        extra={
            "carriers": Data(
                "prompts",
                Modality.LANGUAGE,
                np.array([words.decode(row) for row in prompts.tolist()]),
                role="carriers",
            ),
            "unmarked": Data(
                "unmarked texts",
                Modality.LANGUAGE,
                np.array([*written, *human]),
                role="public",
                facts={"written": np.repeat([1, 0], len(written))},
            ),
        },
        parts=(
            text_marker(MARKS[mark](), author, bits),
            KeyUse(owners=owners),
            DetectionService(),
            quality,
        ),
        settings=Settings(seed=seed),
        facts={
            "parameters": model.facts["parameters"],
            "mark": mark,
            "tokens of a text": tokens,
        },
    )


def _windows(ids: NDArray[Any], width: int, stride: int) -> NDArray[np.int64]:
    return np.lib.stride_tricks.sliding_window_view(ids, width)[::stride]


def _tensors(state: dict[str, NDArray[Any]]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
