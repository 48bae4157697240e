"""Band assignment: put the bands of scrambled speech back by what speech is usually like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches
from hartley.games.decryption.sound_scramblers import BANDS, spectra, unmoved, waves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    paper="hartley",
    adapts=True,
    light={"sweeps": 0},
)
def band_assignment(
    view: View[DecryptionBrief], rng: Rng, *, sweeps: Annotated[int, Range(0), Stronger.MORE] = 4
) -> Outcome:
    """Assign the bands of scrambled sounds to places in the spectrum, and turn them as they fit.

    Each band has a usual level in every bin, and rises and falls with its neighbours. A first
    assignment is by levels; then pairs of bands change places as long as that makes both fit
    better. It needs nothing but scrambled sounds and public ones, and takes all sounds under one
    key together. An adaptive attacker who knows that keys change solves each stretch alone.

    Args:
        sweeps: over all pairs of bands.
    """
    del rng
    album = view.data.x[0]
    if album.ndim > 2:  # bytes: of a sound that is not scrambled but encrypted
        album = album.mean(-1) / 255 - 0.5
    usual, frames = _statistics(spectra(view.brief.public.x)), spectra(album)
    rebuilt = np.array(album, dtype=np.float32)
    for stretch in stretches(view):
        if np.isin(stretch, view.brief.question.x).any():
            order, inverted = _solved(_statistics(frames[stretch]), usual, sweeps)
            rebuilt[stretch] = waves(unmoved(frames[stretch], order, inverted))
    return Outcome(
        guess=np.full(len(view.brief.question), -1),
        asset=Data("album", Modality.AUDIO, rebuilt[None], role="plaintext"),
    )


Statistics = tuple["NDArray[Any]", "NDArray[Any]"]
"""Log level of every bin (bands, bins), and correlation of the bands' levels over time."""


def _statistics(frames: NDArray[Any]) -> Statistics:
    power = frames.reshape(-1, BANDS, frames.shape[-1] // BANDS) ** 2
    level = np.log(power.mean(0) + 1e-12)
    moving = np.log(power.mean(2) + 1e-9)
    return level - level.mean(), np.corrcoef(moving.T)


def _solved(
    scrambled: Statistics, usual: Statistics, sweeps: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the key: which band is at each place, and whether it is upside down."""
    from scipy.optimize import linear_sum_assignment

    level, moving = scrambled
    upright = ((level[:, None] - usual[0][None]) ** 2).mean(2)
    turned = ((level[:, None, ::-1] - usual[0][None]) ** 2).mean(2)
    cost = np.minimum(upright, turned)
    _, order = linear_sum_assignment(cost)
    # Levels are in nats, correlations at most 1: both gaps are scaled by their usual size.
    cost = cost / (np.median(cost) + 1e-9)
    scale = float(usual[1].var() + 1e-9)

    def misfit(at: NDArray[Any]) -> float:
        gap = ((moving - usual[1][np.ix_(at, at)]) ** 2).sum() / scale / len(at)
        return float(cost[np.arange(len(at)), at].sum() + gap)

    least = misfit(order)
    for _ in range(sweeps):
        before = least
        for a in range(len(order)):
            for b in range(a):
                order[[a, b]] = order[[b, a]]
                now = misfit(order)
                if now < least:
                    least = now
                else:
                    order[[a, b]] = order[[b, a]]
        if least == before:
            break
    places = np.arange(len(order))
    return order, turned[places, order] < upright[places, order]
