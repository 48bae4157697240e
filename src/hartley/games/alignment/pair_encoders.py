"""How a picture with its caption becomes a record of a dual encoder.

A paired scene's records are features, side by side. An attacker of the alignment of pictures and
captions changes the pictures and captions themselves, so such a scene has a part ``PairEncoders``:
the owner's way from them to features, and held-out pairs to ask about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Data, Modality, Model, Output
from hartley.core.errors import UsageError
from hartley.kit.perturbation import Perturbation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CAPTIONS = "captions"
"""The fact of pairs (n, t): tokens of their captions, padded on the right with −1."""


@dataclass(frozen=True, slots=True, eq=False)
class PairEncoders:
    """Pictures and captions, and how a dual encoder gets its records from them.

    Attributes:
        test: held-out pairs; ``x`` are pictures (n, channels, height, width) from 0 to 1, and the
            facts have ``captions``. Pair k alone belongs together: no two captions are alike.
        public: the attacker's pairs, in the same form.
        pictures: pictures (n, …) → features (n, d).
        captions: tokens (n, t) → features (n, e).
        slope: (pictures (n, …), (n, d)) → gradient in the pictures of the inner product of their
            features with these vectors; None where there is no gradient.
        vocabulary: number of tokens.
        codec: texts to tokens and back; None where each token is a word.
        budget: how much a picture may change.
        reads: tokens of a caption that its encoder reads; 0 for all.
    """

    test: Data
    public: Data
    pictures: Callable[[NDArray[Any]], NDArray[Any]]
    captions: Callable[[NDArray[Any]], NDArray[Any]]
    slope: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None
    vocabulary: int
    codec: Codec | None
    budget: Perturbation
    reads: int = 0

    def sizes(self) -> tuple[int, int]:
        """Return d and e, the numbers of features of a picture and of a caption."""
        one = self.pictures(self.test.x[:1]), self.captions(self.test.facts[CAPTIONS][:1])
        return one[0].shape[1], one[1].shape[1]

    def picture_model(self, model: Model) -> Model:
        """Return a dual encoder as a model of pictures: embeddings (n, w), each of length 1.

        Its loss, for ``grad``, is minus the inner product of a picture's embedding with a given
        vector (n, w).
        """
        d, e = self.sizes()
        width = _width(model)

        def records(x: NDArray[Any]) -> NDArray[np.float32]:
            features = self.pictures(x)
            return np.concatenate([features, np.zeros((len(x), e), np.float32)], 1)

        def query(x: NDArray[Any]) -> Floats:
            return unit(np.asarray(model.query(records(x)), np.float64)[:, :width])

        below, above = model.grad, self.slope

        def grad(x: NDArray[Any], towards: NDArray[Any]) -> NDArray[np.float32]:
            assert below is not None and above is not None
            both = np.concatenate([towards, np.zeros_like(towards)], 1)
            return np.asarray(above(x, below(records(x), both)[:, :d]), np.float32)

        return Model(
            "picture encoder",
            Modality.PAIRED,
            query,
            Output.EMBEDDINGS,
            width,
            grad=None if below is None or above is None else grad,
            deterministic=model.deterministic,
            offers=model.offers,
        )

    def caption_model(self, model: Model) -> Model:
        """Return a dual encoder as a model of captions: embeddings (n, w), each of length 1."""
        d, _ = self.sizes()
        width = _width(model)

        def query(tokens: NDArray[Any]) -> Floats:
            features = self.captions(tokens)
            records = np.concatenate([np.zeros((len(tokens), d), np.float32), features], 1)
            return unit(np.asarray(model.query(records), np.float64)[:, width:])

        return Model(
            "caption encoder",
            Modality.PAIRED,
            query,
            Output.EMBEDDINGS,
            width,
            codec=self.codec,
            deterministic=model.deterministic,
            offers=model.offers,
        )


def unit(x: NDArray[Any]) -> Floats:
    """Return rows (n, d) of length 1; rows of zeros stay."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def pairs(name: str, pictures: NDArray[Any], tokens: NDArray[Any], role: str = "records") -> Data:
    """Return pictures (n, …) and the tokens (n, t) of their captions as records.

    Raises:
        UsageError: they are not as many.
    """
    if len(pictures) != len(tokens):
        raise UsageError(
            f"{name} must have a caption for each picture, got {len(pictures)} pictures and "
            f"{len(tokens)} captions"
        )
    return Data(name, Modality.PAIRED, pictures, role=role, facts={CAPTIONS: tokens})


def _width(model: Model) -> int:
    if model.output is not Output.EMBEDDINGS or model.classes % 2:
        raise UsageError(
            f"{model.name!r} must answer with the embeddings of a picture and of a caption side "
            f"by side for alignment, got {model.output} of {model.classes} numbers"
        )
    return model.classes // 2
