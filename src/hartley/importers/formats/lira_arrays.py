"""Scores of many models in an array, with the array that says who was a member of which.

Read in the source of TensorFlow Privacy (``research/mi_lira_2021``: ``score.py``, ``plot.py``) and
of Privacy Meter (``get_signals.py``, ``models/utils.py``; April 2025). LiRA keeps, for each model,
``keep.npy`` (records,) and scores (records, augmentations), which ``plot.py`` stacks to (models,
records) and (models, records, augmentations); keep may have more records than were scored. Privacy
Meter keeps ``memberships.npy`` (models, records) and signals (records, models). Its arrays are read
whichever way round they fit. Augmentations are averaged. A model is one cluster: the records of one
training run are dependent, those of different runs are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.importers.outcomes import Columns
from hartley.importers.source import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

READS = "scores of many models (.npy, with --truth keep.npy)"
ONE_MODEL = (
    "one audited model: given it, its records count as independent; another training run of the "
    "same pipeline may leak more or less"
)


RAW = (
    "scores are measured as they are: LiRA's own arrays hold logits, and an attack that compares "
    "each with other models reads more"
)


def recognises(source: Source) -> bool:
    """Whether the file is an array of plain numbers."""
    return source.is_array and source.array().dtype.names is None


def read(source: Source) -> Columns:
    """Return membership, score and model of each record of each model."""
    scores = source.array()
    if source.truth_file is None:
        raise source.broken(
            "an array of scores must come with its memberships",
            f"got the shape {scores.shape} alone; add --truth keep.npy, an array of True for "
            "member, (models, records)",
        )
    truth_source = Source(source.truth_file)
    if not truth_source.is_array:
        raise truth_source.broken("--truth must be an .npy array", "it is not")
    return columns(truth_source, scores, truth_source.array(), notes=(RAW,), spare=True)


def columns(
    source: Source,
    scores: NDArray[Any],
    truth: NDArray[Any],
    notes: tuple[str, ...] = (),
    *,
    spare: bool = False,
) -> Columns:
    """Return the columns of scores and memberships, with the model as cluster where there are more.

    Args:
        source: the file, for messages.
        scores: (records,), (models, records) or the transpose, each with augmentations last.
        truth: True or 1 for member: (records,) or (models, records).
        notes: what is assumed, besides.
        spare: whether there may be memberships of further records, which were not scored.

    Raises:
        BadTrials: the shapes do not fit, or a membership is neither true nor false.
    """
    members = _memberships(source, truth)
    if scores.dtype.kind not in "biuf":
        raise source.broken("scores must be numbers", f"got {scores.dtype}")
    if members.ndim not in (1, 2):
        raise source.broken(
            "memberships must be (records,) or (models, records)", f"got {members.shape}"
        )
    if not _fits(scores, members, spare) and members.ndim == 2 and scores.ndim >= 2:
        scores = np.swapaxes(scores, 0, 1)
        notes = (*notes, "scores are (records, models), as the memberships show")
    if not _fits(scores, members, spare):
        raise source.broken(
            "scores and memberships must be of the same models and records",
            f"got scores of shape {scores.shape} and memberships of shape {members.shape}",
        )
    if scores.ndim == members.ndim + 1:
        if scores.shape[-1] > 1:
            notes = (*notes, f"scores are means over {scores.shape[-1]} augmentations")
        scores = np.asarray(scores, np.float64).mean(-1)
    members = members[..., : scores.shape[-1]]
    arrays = {
        "truth": members.astype(np.int64).ravel(),
        "score": np.asarray(scores, np.float64).ravel(),
    }
    if members.ndim == 2 and len(members) > 1:
        arrays["cluster"] = np.repeat(np.arange(len(members)), members.shape[1])
        notes = (*notes, f"each of {len(members)} models is a cluster")
    elif ONE_MODEL not in notes:
        notes = (*notes, ONE_MODEL)
    return Columns(arrays, notes)


def _fits(scores: NDArray[Any], members: NDArray[Any], spare: bool) -> bool:
    axes = members.ndim
    if scores.ndim not in (axes, axes + 1) or not scores.size:
        return False
    records, known = scores.shape[axes - 1], members.shape[-1]
    same_models = scores.shape[: axes - 1] == members.shape[:-1]
    return same_models and (records == known or (spare and records < known))


def _memberships(source: Source, truth: NDArray[Any]) -> NDArray[np.bool_]:
    if truth.dtype == bool:
        return truth
    if truth.dtype.kind in "iuf" and bool(np.isin(truth, (0, 1)).all()):
        return truth.astype(np.bool_)
    raise source.broken(
        "memberships must be true or false, 1 or 0",
        f"got {truth.dtype} with {np.unique(truth)[:3].tolist() if truth.size else 'nothing'}; are "
        "scores and memberships exchanged?",
    )
