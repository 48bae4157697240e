"""A causal network of ``transformers`` that answers conversations, from a cache of its past.

Beginnings are padded on the left and continued together, so that a token costs one token; where
they begin alike, as prompts with the same examples do, they are read once up to where they part.
What the folder of a network says of sampling is not used: an answer is greedy, or drawn at
temperature 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec
from hartley.core.errors import RunError
from hartley.kit.language.chat_template import ChatTemplate, Message
from hartley.kit.language.text import PAD, lengths
from hartley.kit.onednn_linear import PackedNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
"""Rows that are continued together."""

ALIKE = 48
"""Tokens that rows must have in common at their beginning to be read once: a template's marks and
the first words of a question are fewer, and such rows are rather put together by their length."""


@dataclass(slots=True, eq=False)
class ChatNetwork:
    """What continues rows of tokens and conversations.

    Attributes:
        name: of the model, for messages.
        network: of ``transformers``, in evaluation mode.
        codec: text to its tokens and back.
        template: how its conversations are written.
        context: tokens of a conversation with its answer, at most.
        ready: called before every use, for example to choose an adapter.
        packed: the network with weights that are packed at the first answer.
    """

    name: str
    network: Any
    codec: Codec
    template: ChatTemplate
    context: int
    ready: Callable[[], None] = lambda: None
    packed: PackedNetwork = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.packed = PackedNetwork(self.network)

    def generate(self, tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
        """Continue rows (n, t) by at most ``new`` tokens; (n, new), −1 behind what ends an answer.

        A row that does not fit loses its beginning. The token that ends an answer is among them.

        Args:
            tokens: padded with −1, none of the rows empty.
            new: tokens at most.
            seed: of sampling; −1 is greedy. Each row draws a stream of its own.
        """
        rows = np.asarray(tokens, dtype=np.int64)
        out = np.full((len(rows), new), PAD, dtype=np.int64)
        draws = None if seed < 0 else np.random.default_rng(seed).random((len(rows), new))
        unique, back = np.arange(len(rows)), np.arange(len(rows))
        if draws is None and len(rows):  # the same beginning has the same greedy end
            _, unique, back = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        self.ready()
        with self.packed.fast():
            for some in _batches(rows, unique, self.context):
                out[some] = self._batch(rows[some], new, None if draws is None else draws[some])
        return out[unique[back.reshape(-1)]]

    def chat(self, conversations: Sequence[Sequence[Message]], new: int, seed: int) -> list[str]:
        """Answer conversations; an answer that comes last is gone on with.

        Raises:
            RunError: a conversation fills the context.
        """
        rows = self.codec.encode([self.template.render(turns) for turns in conversations])
        longest = int(lengths(np.asarray(rows)).max(initial=0))
        if longest >= self.context:
            raise RunError(
                f"conversations with {self.name} must have fewer than {self.context} tokens, got "
                f"{longest}"
            )
        ends = self.generate(rows, new, seed)
        ends[np.isin(ends, self.stops())] = PAD
        return [self.template.answer(text) for text in self.codec.decode(ends)]

    def stops(self) -> list[int]:
        """Return the tokens that end an answer."""
        stated = getattr(self.network.config, "eos_token_id", None)
        ids = [*stated] if isinstance(stated, list) else [] if stated is None else [stated]
        closing = self.template.answer_close
        for text in (closing, closing.strip()):
            row = [i for i in np.asarray(self.codec.encode([text]))[0].tolist() if i >= 0]
            # Where a closing is of several plain tokens, its first one may also be in an answer.
            if row and (len(row) == 1 or not self.codec.decode(np.array([row[:1]]))[0]):
                ids.append(row[0])
        return sorted({int(i) for i in ids})

    def _batch(
        self, rows: NDArray[np.int64], new: int, draws: NDArray[np.float64] | None
    ) -> NDArray[np.int64]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        stops = self.stops()
        short = [[i for i in row if i >= 0][-(self.context - 1) :] for row in rows.tolist()]
        width, alike = max(map(len, short)), 0
        past = None
        if len(short) > 1 and (common := _common(short)) >= ALIKE:
            past = self._read(short[0][:common], len(short))
            alike = common if past is not None else 0
        # What is left of shorter rows is padded behind what all have in common.
        holes = [width - len(row) for row in short]
        both = list(zip(short, holes, strict=True))
        ids = torch.tensor([row[:alike] + [0] * k + row[alike:] for row, k in both])
        sees = torch.tensor([[1] * alike + [0] * k + [1] * (len(row) - alike) for row, k in both])
        most = min(new, self.context - width)
        # What a network brings along of sampling would fill whatever is not set here.
        self.network.generation_config = GenerationConfig()
        how = GenerationConfig(
            max_new_tokens=most, do_sample=False, eos_token_id=stops or None, pad_token_id=0
        )
        law = LogitsProcessorList([] if draws is None else [_drawn(draws)])
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ends = self.network.generate(
                input_ids=ids,
                attention_mask=sees,
                generation_config=how,
                logits_processor=law,
                past_key_values=past,
            )[:, width:].numpy()
        out = np.full((len(rows), new), PAD, dtype=np.int64)
        ended = np.isin(ends, stops)
        over: NDArray[np.int64] = np.cumsum(ended, axis=1) - ended
        out[:, : ends.shape[1]] = np.where(over > 0, PAD, ends)
        return out

    def _read(self, tokens: list[int], rows: int) -> Any:
        """Return the cache of a beginning for that many rows; None where it cannot be shared.

        Caches that keep less than all keys and values, as of windows, cannot be padded in the
        middle.
        """
        import torch
        from transformers.cache_utils import DynamicLayer

        with torch.no_grad():  # without the head, which nobody asks here
            body = self.network.base_model
            read = body(input_ids=torch.tensor([tokens]), use_cache=True)
        past: Any = getattr(read, "past_key_values", None)
        if any(type(layer) is not DynamicLayer for layer in getattr(past, "layers", [None])):
            return None
        past.batch_repeat_interleave(rows)
        return past


def _batches(
    rows: NDArray[np.int64], unique: NDArray[np.int64], context: int
) -> Iterator[NDArray[np.int64]]:
    """Split rows into batches: such as begin alike, then the others by their length.

    Args:
        rows: (n, t) padded with −1.
        unique: numbers of the rows to continue; those that begin alike follow each other.
        context: longer rows lose their beginning.
    """
    sizes, first = lengths(rows), 0
    others: list[int] = []
    while first < len(unique):
        head, last = rows[unique[first]], first + 1
        least = max(ALIKE, int(sizes[unique[first]]) // 2) + 1
        while (
            last < min(len(unique), first + BATCH)
            and sizes[unique[first : last + 1]].min() >= least
            and sizes[unique[first : last + 1]].max() < context
            and (head[: least - 1] == rows[unique[last], : least - 1]).all()
        ):
            last += 1
        if last - first > 1:
            yield unique[first:last]
        else:
            others.append(first)
        first = last
    left = unique[others]
    order = left[np.argsort(sizes[left], kind="stable")]
    for first in range(0, len(order), BATCH):
        yield order[first : first + BATCH]


def _common(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all rows have in common at their beginning, short of a whole row."""
    most = min(map(len, rows)) - 1
    return next((k for k in range(most) if len({row[k] for row in rows}) > 1), most)


def _drawn(draws: NDArray[np.float64]) -> Callable[[Any, Any], Any]:
    """Return what leaves one token a row, drawn from its law by the next number of the row."""
    import torch

    numbers = iter(torch.from_numpy(np.ascontiguousarray(draws.T)))

    def choose(_: Any, logits: Any) -> Any:
        law = logits.double().softmax(1).cumsum(1)
        chosen = torch.searchsorted(law, next(numbers)[:, None].clamp(max=1 - 1e-12) * law[:, -1:])
        out = torch.full_like(logits, -torch.inf)
        return out.scatter(1, chosen.clamp(max=logits.shape[1] - 1), 0.0)

    return choose
