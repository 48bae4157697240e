"""A small chat model as a ``Model``, its tuner, and the direction of its refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Model, Output
from hartley.core.errors import RunError
from hartley.kit.cache import digest
from hartley.kit.language import gpt, gpt_decode, soft_prompt, text
from hartley.kit.language.chat_template import ChatTemplate, Message, asked
from hartley.kit.language.gpt_tails import GptTails
from hartley.kit.language.residual_directions import directions, without
from hartley.models.causal import causal
from hartley.models.fine_tuning import GptTuner, Lessons

if TYPE_CHECKING:
    from numpy.typing import NDArray

Weights = Mapping[str, "NDArray[Any]"]
Turns = Sequence[Message]

WORTH = 256
"""Tokens that a tree of rows has to spare a network of this size."""


@dataclass(frozen=True, slots=True, eq=False)
class ChatGpt:
    """A small transformer that chats: from parameters to a ``Model``.

    Attributes:
        name: what to call the model.
        shape: the network.
        words: its vocabulary; what ends an answer is one token.
        template: how a conversation is written.
        offers: what an attacker may use.
    """

    name: str
    shape: gpt.Shape
    words: text.Vocabulary
    template: ChatTemplate
    offers: Access = Access.LABELS | Access.SCORES

    def model(self, weights: Weights) -> Model:
        """Return the model with these parameters, a ``soft_prompt`` among them or not.

        Its ``chat`` goes on with an answer that comes last. What it generates ends behind the token
        that ends an answer, or where the context does.
        """
        import torch

        arrays = {name: np.asarray(array, dtype=np.float32) for name, array in weights.items()}
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        before = state.get(soft_prompt.SOFT_PROMPT)
        context = soft_prompt.room(arrays, self.shape)
        (stop,) = self.words.encode(self.template.answer_close)
        codec = text.codec(self.words)

        def opened() -> dict[str, NDArray[np.float32]]:
            return {name: array.copy() for name, array in arrays.items()}

        def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
            rows = _cropped(np.asarray(tokens, dtype=np.int64), context - 1)
            out = gpt_decode.continued(
                state, self.shape, rows, new, seed, stop=stop, before=before, keep_stop=True
            )
            return out

        def chat(conversations: Sequence[Turns], new: int, seed: int) -> list[str]:
            rows = codec.encode([self.template.render(turns) for turns in conversations])
            if (longest := int(text.lengths(rows).max(initial=0))) >= context:
                raise RunError(
                    f"conversations with {self.name} must have fewer than {context} tokens, got "
                    f"{longest}"
                )
            return codec.decode(
                gpt_decode.continued(state, self.shape, rows, new, seed, stop=stop, before=before)
            )

        return causal(
            self.name,
            partial(soft_prompt.hidden, state, self.shape),
            lambda states: states @ state["tokens"].T,
            vocabulary=self.shape.vocabulary,
            context=context,
            output=Output.LOGITS,
            weights=opened if self.offers & Access.WEIGHTS else None,
            offers=self.offers,
            facts={"parameters": sum(array.size for array in arrays.values())},
            worth=WORTH,
            identity=digest(arrays),
            tails=GptTails(state, self.shape, state["tokens"], before),
        ).with_(generate=generate, chat=chat, codec=codec)

    def tuner(
        self, weights: Weights, unaligned: Weights, lessons: Lessons | None = None
    ) -> GptTuner:
        """Return what tunes the model with these parameters.

        Args:
            weights: of the deployed model.
            unaligned: before the refusal stage.
            lessons: what it was aligned with, where the owner says so.
        """
        return GptTuner(
            shape=self.shape,
            state=weights,
            codec=text.codec(self.words),
            opening=lambda question: self.template.render(asked(question)),
            closing=self.template.answer_close,
            wrap=self.model,
            unaligned=unaligned,
            lessons=lessons or Lessons(),
        )


def _cropped(rows: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Rows without the beginnings that do not fit."""
    if rows.shape[1] <= context:
        return rows
    return text.pad([[i for i in row if i >= 0][-context:] for row in rows.tolist()])


def refusal_direction(
    model_state: Weights, shape: gpt.Shape, refused: NDArray[Any], helpful: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the unit vector (width,) along which refused and answered questions differ most.

    The difference of the mean residual activations at the last token, behind the layer where it is
    largest for its spread (arXiv:2406.11717).

    Args:
        model_state: parameters by name.
        shape: the network.
        refused: (n, t) questions that are refused, up to where the answer begins, padded with −1.
        helpful: (m, t) questions that are answered.
    """
    between = directions(model_state, shape, np.asarray(refused), np.asarray(helpful))
    return np.asarray(between.units[int(np.argmax(between.apart))])


def without_direction(
    weights: Weights, direction: NDArray[Any], share: float = 1.0
) -> dict[str, NDArray[np.float32]]:
    """Return parameters that write nothing along a direction of the residual stream.

    Args:
        weights: by name, of ``kit.language.gpt``.
        direction: (width,) unit vector.
        share: how much of what is written along it goes.
    """
    wide = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    cut = without(wide, np.asarray(direction, dtype=np.float64), share)
    return {name: np.array(array, dtype=np.float32) for name, array in cut.items()}
