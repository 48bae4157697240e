"""B4B: the more of the embedding space an account has seen, the noisier are its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Model, Output, Range, Scene, Term, defense, spawn
from hartley.core.capabilities import CAPABILITIES, Gives
from hartley.core.errors import UsageError
from hartley.defenses._shared import wrap_answers
from hartley.games.extraction.encoder_extraction import EmbeddingEndpoint
from hartley.kit import accounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FIRST = 1e-6
"""Noise where nothing is covered yet: the paper's λ, which makes the curve flat at first."""


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("encoder_extraction",),
    modalities=(Modality.VISION, Modality.PAIRED),
    paper="arXiv:2310.08571",
    requires=("embedding_endpoint", "train"),
    strongest={"noise": 100.0, "covered": 0.01},
    keeps_proof=True,
)
def b4b(
    scene: Scene,
    rng: Rng,
    *,
    noise: Annotated[float, Range(0)] = 0.8,
    covered: Annotated[float, Range(0, 1, open_low=True)] = 0.8,
    planes: Annotated[int, Range(1, 16)] = 6,
    spaces: bool = True,
    shared: bool = False,
) -> Scene:
    """Count which buckets of the space an account has seen, and add noise as it sees more.

    Random planes cut the space into 2^planes buckets. The noise of an answer grows exponentially
    with the share of buckets that the account's answers have fallen into, so that an account with
    one task gets clean embeddings. The paper counts all buckets; here those count into which the
    embeddings of the owner's training records fall, since a small encoder leaves most of the others
    empty. Each account also gets a rotation of its own, so that several accounts of one attacker
    cannot join their answers unless they find out how the spaces relate. The owner and the judge
    ask without an account.

    Args:
        noise: length of the noise at the share ``covered``, as a share of the embedding's length.
        covered: share of the owner's buckets at which the noise is ``noise``.
        planes: random planes that cut the space.
        spaces: rotate the answers of each account by a matrix of its own.
        shared: the accounts of one attacker count as one, as where the owner can link them.

    Raises:
        UsageError: the scene's model does not answer with embeddings.
    """
    key = int(rng.integers(2**62))
    part, train = scene.part(EmbeddingEndpoint), scene.train
    assert train is not None
    if scene.model is not None and scene.model.output is not Output.EMBEDDINGS:
        raise UsageError(f"b4b: the model must answer with embeddings, got {scene.model.output}")
    curve = _Curve(noise, covered)

    def change(model: Model, who: str) -> Model:
        owner = _Buckets(model, train.x, planes, spawn(key, who, "planes"))

        def opened() -> accounts.Stream:
            seed = spawn(key, who, "account", 0 if shared else accounts.account_number())
            account = _Account(owner, curve, part, seed, spaces)

            def stream(
                name: str, answer: Callable[..., Any], x: Any, arguments: tuple[Any, ...]
            ) -> Any:
                raw = answer(x, *arguments)
                if CAPABILITIES[name].gives not in (Gives.ANSWERS, Gives.EMBEDDINGS):
                    return raw
                return account.answer(np.asarray(raw))

            return stream

        return accounts.watched(model, opened, shared=shared)

    return wrap_answers.models(scene, change)


@dataclass(frozen=True, slots=True)
class _Curve:
    """Length of the noise by the share of buckets that an account covers."""

    most: float
    at: float

    def __call__(self, share: NDArray[Any]) -> NDArray[np.float64]:
        if self.most <= FIRST:
            return np.zeros(len(share))
        power = np.minimum(np.log(self.most / FIRST) * share / self.at, 60)
        return np.asarray(FIRST * np.expm1(power))


class _Buckets:
    """The buckets of one model's embedding space, and those that the owner's records fall into."""

    def __init__(self, model: Model, x: NDArray[Any], planes: int, seed: int) -> None:
        self._model, self._x, self._planes, self._seed = model, x, planes, seed
        self._owner: NDArray[np.int64] | None = None

    def of(self, embeddings: NDArray[Any]) -> NDArray[np.int64]:
        """Return the bucket (n,) of each embedding (n, d)."""
        shape = (embeddings.shape[1], self._planes)
        normals = np.random.default_rng(self._seed).standard_normal(shape)
        return np.asarray((embeddings @ normals > 0) @ (1 << np.arange(self._planes)))

    @property
    def owner(self) -> NDArray[np.int64]:
        """The buckets of the owner's training records, each once."""
        if self._owner is None:
            self._owner = np.unique(self.of(np.asarray(self._model.query(self._x))))
        return self._owner


class _Account:
    """What one account has seen, and the space in which it gets its answers."""

    def __init__(
        self, buckets: _Buckets, curve: _Curve, part: EmbeddingEndpoint, seed: int, spaces: bool
    ) -> None:
        self._buckets, self._curve, self._part = buckets, curve, part
        self._spaces, self._seen = spaces, np.empty(0, np.int64)
        self._rng = np.random.default_rng(seed)
        self._turn: NDArray[np.float64] | None = None

    def answer(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return embeddings (n, d) as the account gets them."""
        if not len(embeddings):
            return embeddings
        halves = self._part.halves(np.asarray(embeddings, dtype=np.float64))
        if self._turn is None:
            width = halves[0].shape[1]
            # Both halves are rotated alike, so that captions and pictures still match.
            self._turn = np.linalg.qr(self._rng.standard_normal((width, width)))[0]
        length = self._curve(self._shares(embeddings))[:, None]
        out = []
        for half in halves:
            draw = self._rng.standard_normal(half.shape) / np.sqrt(half.shape[1])
            noisy = half + length * np.linalg.norm(half, axis=1, keepdims=True) * draw
            out.append(noisy @ self._turn if self._spaces else noisy)
        return np.concatenate(out, axis=1)

    def _shares(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return the share of the owner's buckets that is covered after each answer."""
        places = self._buckets.of(embeddings)
        places = np.where(np.isin(places, self._buckets.owner), places, -1)
        every = np.concatenate([self._seen, places])
        _, first = np.unique(every, return_index=True)
        new = np.zeros(len(every), dtype=bool)
        new[first] = True
        new &= every >= 0
        covered = np.cumsum(new)[len(self._seen) :]
        self._seen = np.unique(every)
        return np.asarray(covered / max(len(self._buckets.owner), 1))
