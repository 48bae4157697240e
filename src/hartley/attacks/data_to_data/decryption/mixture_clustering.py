"""Mixture clustering: group encodings that share a picture, and solve for the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import encoding_similarity
from hartley.attacks.data_to_data.decryption._shared.mixture_solver import Solver
from hartley.attacks.data_to_data.decryption._shared.noisy_mixtures import NoisySolver
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.mixed_pictures import GREY, MixedPicturesBrief, mixed_pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BINS = 32
"""Levels of a histogram."""

FIRST, LATER = 6, 4
"""Solutions for the pictures before the first and before later checks of the groups."""

ROUNDS = 4
"""Solutions for the pictures to a check, where public pictures are in the mixtures."""


@attack(
    game=mixed_pictures,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2011.05315",
    light={"checks": 1},
)
def mixture_clustering(
    view: View[MixedPicturesBrief],
    rng: Rng,
    *,
    checks: Annotated[int, Range(1, 100), Stronger.MORE] = 5,
    similarity: Literal["gradients", "trained"] = "gradients",
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
) -> Outcome:
    """Take absolute values, group encodings by similarity, and solve |A X| = |encodings|.

    It needs encodings alone, and no label. Of mixtures of two private pictures the solution that
    fits best is returned. Public pictures in a mixture are noise; the last solution is returned.

    Args:
        checks: times that encodings are given other pictures, and pictures that explain no
            encodings are looked for again.
        similarity: by gradients alone, or also by a small net that is trained, on mixtures of
            public pictures, to say whether two encodings share a private one.
        steps: batches that this net is trained on.
    """
    encodings = view.data.x.astype(np.float64) / GREY - 1
    brief = view.brief
    net = None
    if similarity == "trained":
        net = encoding_similarity.trained(brief.public.x, brief.mixed, steps)
    if brief.mixed:
        best = _among_public(encodings, brief, checks, net, rng)
    else:
        solver = Solver(encodings, len(brief.question), brief.times, brief.most, rng, net=net)
        best = _alone(solver, checks)
    pictures = np.clip(np.rint((best + 1) * GREY), 0, 255).astype(np.uint8)
    rebuilt = usual_way_up(pictures.reshape(-1, *encodings.shape[1:]), brief.public.x)
    return Outcome(
        guess=np.full(len(brief.question), -1),
        asset=Data("pictures", Modality.VISION, rebuilt, role="plaintext"),
    )


def _alone(solver: Solver, checks: int) -> NDArray[np.float64]:
    """Return the pictures that fit mixtures of two best."""
    best, least = solver.x, np.inf
    for check in range(checks):
        for step in range(FIRST if check == 0 else LATER):
            solver.solve(starts=6 if step < 2 else 1)
        solver.reassign()
        if (error := float(np.sqrt(solver.error).mean())) < least:
            best, least = solver.x.copy(), error
        good = solver.sound()
        if good.all():
            break
        solver.reseed(good)
    return best


def _among_public(
    encodings: NDArray[Any], brief: MixedPicturesBrief, checks: int, net: Any, rng: Rng
) -> NDArray[np.float64]:
    """Return the pictures that are left where encodings and pictures were fitted in turn."""
    solver = NoisySolver(
        encodings, len(brief.question), brief.times, brief.most, rng, mixed=brief.mixed, net=net
    )
    for step in range(ROUNDS * checks):
        solver.solve(starts=6 if step < 2 else 1)
        if step:
            solver.reassign()
    return solver.x


def usual_way_up(pictures: NDArray[Any], public: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pictures, or all their negatives, whichever has the likelier levels.

    Args:
        pictures: (m, c, h, w) in 0..255.
        public: (n, c, h, w) of the usual law.
    """

    def level(values: NDArray[Any]) -> NDArray[np.int64]:
        return np.asarray(values, dtype=np.int64).swapaxes(0, 1) * BINS // 256

    usual = [np.log(np.bincount(one.ravel(), minlength=BINS) + 1.0) for one in level(public)]
    both = (pictures, 255 - pictures)
    fit = [sum(f[v].sum() for f, v in zip(usual, level(x), strict=True)) for x in both]
    return np.asarray(both[int(np.argmax(fit))], dtype=np.uint8)
