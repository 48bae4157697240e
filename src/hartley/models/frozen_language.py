"""A frozen language model as vectors see it: embeddings, hidden states and a tied head.

SmolLM2 from its pack, or a small network that is trained here on captions and on questions about
them, which it answers by what the caption before them says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached, digest
from hartley.kit.language import gpt, text
from hartley.models import smollm

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

States = Callable[["Tensor", "Tensor", "Tensor | None"], "Tensor"]
"""(vectors (b, t, width), positions (b, t), sees (b, t, t) or None) → last states (b, t, width)."""

UNKNOWN = "<unknown>"


@dataclass(frozen=True, slots=True, eq=False)
class FrozenLanguage:
    """A language model whose input may be vectors.

    Attributes:
        name: what to call it.
        words: its vocabulary.
        embeddings: (vocabulary, width), float32; the head too.
        states: the network up to its last norm.
        opening: ids that every row begins with.
        parameters: how many it has.
        identity: a digest that is unique to its weights.
    """

    name: str
    words: text.Vocabulary
    embeddings: Tensor
    states: States
    opening: tuple[int, ...]
    parameters: int
    identity: str

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.embeddings.shape[1])

    def spelled(self, written: str) -> list[int]:
        """Return the ids of a text that goes on from another: the space before it is its first."""
        return self.words.encode(f" {written}")


@cache
def smollm2() -> FrozenLanguage:
    """Return SmolLM2-135M-Instruct.

    Raises:
        MissingPack: the pack ``smollm2`` was not fetched.
        MissingExtra: transformers or gguf is not installed.
    """
    import torch

    network = smollm.network()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    table = network.model.embed_tokens.weight
    kind = table.dtype

    def states(x: Tensor, positions: Tensor, sees: Tensor | None) -> Tensor:
        mask = None
        if sees is not None:
            # transformers uses a 4-D mask unchanged: 0 where a token attends, −∞ elsewhere.
            closed = torch.zeros(sees.shape, dtype=kind)
            mask = closed.masked_fill(~sees, torch.finfo(kind).min)[:, None]
        out: Tensor = network.model(
            inputs_embeds=x.to(kind), attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return out.float()

    return FrozenLanguage(
        smollm.NAME,
        smollm.words(),
        table.detach().float(),
        states,
        (1,),
        sum(parameter.numel() for parameter in network.parameters()),
        digest([smollm.NAME, smollm.VERSION, str(kind)]),
    )


def trained(
    name: str,
    shape: gpt.Shape,
    lesson: gpt.Lesson,
    *,
    words: text.Vocabulary,
    rows: NDArray[np.int64],
    read_only: NDArray[np.bool_],
    seed: int,
) -> FrozenLanguage:
    """Return a small network, trained on token rows once and kept on disk.

    Args:
        name: what to call it.
        shape: the network.
        lesson: how it is trained.
        words: its vocabulary.
        rows: (n, t) texts, padded with −1.
        read_only: (n, t) tokens that are read and not learnt.
        seed: of its training.
    """
    import torch

    recipe = ["picture language", gpt.recipe(shape, lesson), rows, read_only, seed]
    arrays = cached(
        "causal", recipe, lambda: gpt.train(rows, shape, lesson, seed, read_only), code=gpt.train
    )
    state = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}

    def states(x: Tensor, positions: Tensor, sees: Tensor | None) -> Tensor:
        def entered(at: str, input_: Tensor, output: Tensor) -> Tensor:
            del input_
            return x + state["positions"][positions] if at == "tokens" else output

        empty = torch.zeros(x.shape[:2], dtype=torch.int64)
        return gpt.hidden(state, shape, empty, positions, sees, tap=entered)

    return FrozenLanguage(
        name,
        words,
        state["tokens"],
        states,
        (0,),
        sum(tensor.numel() for tensor in state.values()),
        digest(dict(arrays)),
    )


def whole_words(texts: Sequence[str]) -> text.Vocabulary:
    """Return a vocabulary with a token for each word and each mark of some texts.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers
    except ImportError as error:
        raise MissingExtra("tokenizers", "language") from error
    cut = pre_tokenizers.Whitespace()
    listed = sorted({word for line in texts for word, _ in cut.pre_tokenize_str(line)})
    table: Mapping[str, int] = {word: k for k, word in enumerate([UNKNOWN, *listed])}
    tool: Any = Tokenizer(models.WordLevel(dict(table), unk_token=UNKNOWN))
    tool.pre_tokenizer = cut
    return text.vocabulary(tool.to_str())
