"""A language model that looks at pictures: a frozen picture encoder, a projector, a frozen network.

A picture becomes 16 vectors before a question, where the embeddings of a caption could be too
(arXiv:2304.08485). The score of an answer is its log-probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.language.text import PAD, pad
from hartley.kit.vision import picture_tokens
from hartley.kit.vision.picture_tokens import PLACES
from hartley.models.frozen_language import FrozenLanguage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SIDE = 128
"""Pixels of a picture's side."""

BATCH = 32
"""Pictures that go through the networks at once."""

SAYS, SHOWS, KIND = "What does it say?", "What is it?", "What kind is it?"
"""The questions that it was trained on: the word that is drawn, the name of a thing, its kind."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureLanguage:
    """The three networks together.

    Attributes:
        language: the frozen language model.
        shape: the projector.
        projector: its parameters by name.
        maps: pictures (n, 3, 128, 128) in 0..1 → feature maps (n, 16, 1728), with gradients.
    """

    language: FrozenLanguage
    shape: picture_tokens.Shape
    projector: Mapping[str, Tensor]
    maps: Callable[[Tensor], Tensor]

    def vectors(self, pictures: NDArray[Any]) -> Tensor:
        """Return what pictures (n, 3, 128, 128) become before a question, (n, 16, width)."""
        import torch

        out = [torch.empty(0, PLACES, self.language.width)]
        with torch.no_grad():
            for at in range(0, len(pictures), BATCH):
                rows = np.asarray(pictures[at : at + BATCH], dtype=np.float32)
                out.append(self.of_pictures(torch.from_numpy(rows)))
        return torch.cat(out)

    def of_pictures(self, pictures: Tensor) -> Tensor:
        """Return the same of a tensor, with gradients."""
        return picture_tokens.tokens(self.projector, self.shape, self.maps(pictures))

    def of_text(self, texts: Sequence[str]) -> list[Tensor]:
        """Return what written texts become before a question: their embeddings, (t, width) each."""
        import torch

        table = self.language.embeddings
        return [table[torch.tensor(self.language.spelled(text))] for text in texts]

    def rows(self, answers: Sequence[str]) -> NDArray[np.int64]:
        """Return answers as rows of tokens (C, t), padded with −1."""
        return pad([self.language.spelled(answer) for answer in answers])

    def states(self, before: Sequence[Tensor] | Tensor, question: str) -> NDArray[np.float32]:
        """Return the last hidden states (n, width) where an answer would begin.

        Args:
            before: vectors of each picture or text; all of one length where it is one tensor.
            question: what is asked.
        """
        import torch

        out = np.empty((len(before), self.language.width), np.float32)
        lengths = np.array([len(each) for each in before])
        with torch.no_grad():
            for length in np.unique(lengths):
                places = np.flatnonzero(lengths == length)
                for at in range(0, len(places), BATCH):
                    some = places[at : at + BATCH]
                    x = self.asked(torch.stack([before[int(i)] for i in some]), question)
                    out[some] = self._read(x)[:, -1].numpy()
        return out

    def log_likelihoods(
        self, before: Tensor, question: str, answers: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return log-probabilities (n, C) of answers in nats.

        Args:
            before: vectors (n, t, width) of pictures.
            question: what is asked.
            answers: (C, t) token rows of the same answers for all pictures, or (n, C, t).
        """
        import torch

        parts = [np.empty((0, answers.shape[-2]))]
        with torch.no_grad():
            for at in range(0, len(before), BATCH):
                some = answers if answers.ndim == 2 else answers[at : at + BATCH]
                scores = self.likely(before[at : at + BATCH], question, some)
                parts.append(scores.double().numpy())
        return np.concatenate(parts)

    def likely(self, before: Tensor, question: str, answers: NDArray[np.int64]) -> Tensor:
        """Return log-probabilities (n, C) of one batch, with gradients.

        All answers are read at once behind the question. None sees another.
        """
        import torch

        n = len(before)
        rows = torch.from_numpy(np.broadcast_to(answers, (n, *answers.shape[-2:])).copy())
        count, longest = rows.shape[1], rows.shape[2]
        x = self.asked(before, question)
        t, ids = x.shape[1], rows.clamp(min=0)
        table = self.language.embeddings
        if longest == 1:
            logs = (self._read(x)[:, -1] @ table.T).log_softmax(1)
            return logs.gather(1, ids[:, :, 0])
        # The last token of an answer is read by nobody.
        tails = ids[:, :, :-1]
        nodes, step = count * (longest - 1), torch.arange(longest - 1)
        both = torch.cat([x, table[tails.reshape(n, nodes)]], 1)
        positions = torch.cat([torch.arange(t), (t + step).repeat(count)])
        group = torch.arange(count).repeat_interleave(longest - 1)
        sees = torch.zeros(t + nodes, t + nodes, dtype=torch.bool)
        sees[:, :t] = torch.ones(t + nodes, t, dtype=torch.bool).tril()
        sees[t:, t:] = (group[:, None] == group) & (positions[t:, None] >= positions[t:])
        states = self.language.states(both, positions.expand(n, -1), sees.expand(n, *sees.shape))
        first = (states[:, t - 1] @ table.T).log_softmax(1).gather(1, ids[:, :, 0])
        later = (states[:, t:] @ table.T).log_softmax(2)
        later = later.gather(2, ids[:, :, 1:].reshape(n, nodes, 1)).reshape(n, count, -1)
        return first + (later * (rows[:, :, 1:] != PAD)).sum(2)

    def asked(self, before: Tensor, question: str) -> Tensor:
        """Return the vectors (n, t, width) of rows: what opens them, ``before``, the question."""
        import torch

        table = self.language.embeddings
        n = len(before)
        opening = table[torch.tensor(self.language.opening)].expand(n, -1, -1)
        words = table[torch.tensor(self.language.spelled(question))].expand(n, -1, -1)
        return torch.cat([opening, before, words], 1)

    def _read(self, x: Tensor) -> Tensor:
        import torch

        n, t, _ = x.shape
        return self.language.states(x, torch.arange(t).expand(n, t), None)
