"""A model that looks at pictures, as a dual encoder: what a picture and a caption are to it.

Both become vectors before a question. The places of a name, its tags and its kind, side by side,
less their usual values and of length 1, are the embedding of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output
from hartley.models.picture_language import BATCH, PictureLanguage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PLACED = 13
"""Vectors of a picture that the first stage draws to tokens; the others may be anything."""

OFFERS = Access.LABELS | Access.SCORES | Access.EMBEDDINGS | Access.GRADIENTS


@dataclass(frozen=True, slots=True, eq=False)
class SharedSpace:
    """The way of pictures and captions into one space.

    Attributes:
        reader: the networks.
        laid_out: tokens of captions (n, t) → tokens (n, 16) as they would stand for a picture.
        picture_mean, caption_mean: (d,) usual values of either.
    """

    reader: PictureLanguage
    laid_out: Callable[[NDArray[Any]], NDArray[np.int64]]
    picture_mean: NDArray[np.float32]
    caption_mean: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        reader: PictureLanguage,
        laid_out: Callable[[NDArray[Any]], NDArray[np.int64]],
        pictures: NDArray[Any],
        captions: NDArray[Any],
    ) -> SharedSpace:
        """Return the space, whose usual values are the means over some pairs.

        Args:
            reader: the networks.
            laid_out: as of the class.
            pictures: (n, 3, 128, 128) in 0..1 of the pairs.
            captions: (n, t) tokens.
        """
        nowhere = np.zeros(PLACED * reader.language.width, np.float32)
        raw = cls(reader, laid_out, nowhere, nowhere)
        means = raw.pictures(pictures).mean(0), raw.captions(captions).mean(0)
        return cls(reader, laid_out, *means)

    def pictures(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return features (n, d) of pictures (n, 3, 128, 128) in 0..1."""
        vectors = self.reader.vectors(np.array(x, np.float32))[:, :PLACED].flatten(1).numpy()
        return np.asarray(vectors - self.picture_mean, dtype=np.float32)

    def captions(self, tokens: NDArray[Any]) -> NDArray[np.float32]:
        """Return features (n, d) of captions (n, t)."""
        import torch

        rows = self.laid_out(np.asarray(tokens))[:, :PLACED]
        vectors = self.reader.language.embeddings[torch.from_numpy(rows)].flatten(1).numpy()
        return np.asarray(vectors - self.caption_mean, dtype=np.float32)

    def slope(self, x: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
        """Return the gradient in pictures of the inner product of their features with vectors.

        Args:
            x: (n, 3, 128, 128) in 0..1.
            towards: (n, d).
        """
        import torch

        out = np.empty(np.shape(x), np.float32)
        for at in range(0, len(x), BATCH):
            some = slice(at, at + BATCH)
            rows = torch.from_numpy(np.array(x[some], dtype=np.float32)).requires_grad_()
            vectors: Tensor = self.reader.of_pictures(rows)[:, :PLACED].flatten(1)
            wanted = torch.from_numpy(np.array(towards[some], dtype=np.float32))
            out[some] = torch.autograd.grad((vectors * wanted).sum(), rows)[0].numpy()
        return out

    def model(self, name: str, identity: str) -> Model:
        """Return the dual encoder: features side by side (n, 2·d) → embeddings of length 1 each."""
        d = len(self.picture_mean)

        def query(x: NDArray[Any]) -> NDArray[np.float32]:
            halves = np.asarray(x, np.float32).reshape(len(x), 2, d)
            return np.asarray((halves / _lengths(halves)).reshape(len(x), 2 * d))

        def grad(x: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
            """Minus the slope of the inner product of the embeddings with ``towards``."""
            halves = np.asarray(x, np.float32).reshape(len(x), 2, d)
            goal = np.asarray(towards, np.float32).reshape(len(x), 2, d)
            unit = halves / _lengths(halves)
            across = goal - (goal * unit).sum(2, keepdims=True) * unit
            return np.asarray(-(across / _lengths(halves)).reshape(len(x), 2 * d))

        return Model(
            name,
            Modality.PAIRED,
            query,
            Output.EMBEDDINGS,
            2 * d,
            grad=grad,
            offers=OFFERS,
            identity=identity,
            facts={"parameters": self.reader.language.parameters},
        )


def _lengths(halves: NDArray[Any]) -> NDArray[np.float32]:
    norms = np.linalg.norm(halves, axis=2, keepdims=True)
    return np.asarray(np.maximum(norms, 1e-12), dtype=np.float32)
