"""Albums of items under one key, for the decryption game: which of several is each of them?

An album has places whose item the auditor drew uniformly out of candidates, and items that the
attacker knows, since they gave them to the owner. The attacker rebuilds the album and sees no
candidate. A matcher that no attack can change then reads which candidate each rebuilt item is like,
so that a reconstruction that is merely plausible has 0 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import RunError
from hartley.games.decryption import picture_ciphers
from hartley.kit.protection import PlantedItem, PlantedItems, Protection
from hartley.kit.vision import image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CANDIDATES, SECRETS, KNOWN = 16, 4, 16
"""Candidates of a place, places that are asked about, and items that the attacker knows."""

SIDE = 64
"""Height and width of a picture, in pixels."""


def albums(
    name: str,
    public: Data,
    pool: NDArray[Any],
    usual: Protection,
    *,
    matched: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    figures: Callable[[NDArray[Any], NDArray[Any]], Mapping[str, float]],
    candidates: int = CANDIDATES,
) -> PlantedItems:
    """Return albums whose secrets are items of a pool, and whose known items are public ones.

    Args:
        name: of one item, ``picture``.
        public: items of the same law that everybody knows, disjoint from the pool.
        pool: (n, …) items that candidates are drawn from, without repetition in one album.
        usual: the protection of a scene that names none.
        matched: (rebuilt (m, …), candidates (m, N, …)) → (m,) the candidate that each is most like.
        figures: (true (m, …), rebuilt (m, …)) → the usual metrics of the modality.
        candidates: N, candidates of a place.
    """

    def draw(count: int, length: int, payload: int, rng: Rng) -> Sequence[PlantedItem]:
        if len(pool) < payload * candidates or len(public) < length:
            raise RunError(
                f"there are {len(pool)} {name}s to draw from and {len(public)} public ones; "
                f"decryption(payload={payload}, length={length}) needs {payload * candidates} and "
                f"{length}"
            )
        secrets = rng.integers(0, candidates, (count, payload))
        planted = []
        for secret in secrets:
            rows = rng.permutation(len(pool))[: payload * candidates].reshape(payload, candidates)
            known = public.x[rng.permutation(len(public))[:length]]
            item = np.concatenate([pool[rows[np.arange(payload), secret]], known])
            planted.append(PlantedItem(item, np.arange(payload), secret, known, pool[rows]))
        return planted

    def read(planted: PlantedItem, rebuilt: NDArray[Any]) -> NDArray[Any]:
        assert planted.candidates is not None
        return matched(rebuilt[planted.places], planted.candidates)

    def measured(planted: PlantedItem, rebuilt: NDArray[Any]) -> Mapping[str, float]:
        true = planted.item[planted.places]
        return figures(true, np.asarray(rebuilt[planted.places]))

    return PlantedItems(
        name=f"album of {name}s",
        modality=public.modality,
        symbols=candidates,
        public=public,
        draw=draw,
        length=KNOWN,
        payload=SECRETS,
        figures=measured,
        usual=usual,
        read=read,
    )


def of_photographs(
    side: int = SIDE, candidates: int = CANDIDATES, usual: Protection | None = None
) -> PlantedItems:
    """Return albums of crops of the photographs that ship with Hartley's libraries.

    The attacker's pictures are of other photographs than the secret ones.

    Args:
        side: height and width of a picture, at most 128.
        candidates: of a place.
        usual: the protection of a scene that names none.
    """
    from hartley.data.photos import carriers

    photos = carriers(48)
    crops = image.tiles(photos.x, side).transpose(0, 2, 1, 3, 4)
    cut = np.round(crops * 255).astype(np.uint8)
    odd = np.asarray(photos.y) % 2 == 1
    public = Data("crops", Modality.VISION, cut[odd].reshape(-1, 3, side, side), role="public")
    pool = cut[~odd].reshape(-1, 3, side, side)
    # A crop without any contrast is like every other one.
    pool = pool[pool.reshape(len(pool), -1).std(1) > 8]
    return albums(
        "picture",
        public,
        pool,
        usual or picture_ciphers.inverted_blocks(),
        matched=correlated,
        figures=likeness,
        candidates=candidates,
    )


def correlated(rebuilt: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.int64]:
    """Return the candidate with which each picture has the greatest absolute correlation: (m,).

    A negative of a picture shows it as well as a positive. Pictures are compared in grey.
    """

    def standard(pictures: NDArray[Any]) -> NDArray[Any]:
        grey = np.asarray(pictures, dtype=np.float64).mean(-3)
        flat = grey.reshape(*grey.shape[:-2], -1)
        flat = flat - flat.mean(-1, keepdims=True)
        return np.asarray(flat / (np.linalg.norm(flat, axis=-1, keepdims=True) + 1e-9))

    likeness = np.einsum("mp,mnp->mn", standard(rebuilt), standard(candidates))
    return np.asarray(np.abs(likeness).argmax(1), dtype=np.int64)


def likeness(true: NDArray[Any], rebuilt: NDArray[Any]) -> dict[str, float]:
    """Return the mean PSNR and SSIM of rebuilt pictures (m, 3, h, w), and what share is exact."""
    pairs = [
        (np.clip(b, 0, 255).astype(np.float64) / 255, np.asarray(a, dtype=np.float64) / 255)
        for a, b in zip(true, rebuilt, strict=True)
    ]
    return {
        "psnr": float(np.mean([image.psnr(b, a) for b, a in pairs])),
        "ssim": float(np.mean([image.ssim(b, a) for b, a in pairs])),
        "solved": float(np.mean([np.array_equal(a, b) for b, a in pairs])),
    }
