"""The folder of a LiRA experiment: LiRA's own attack on the models that were not its references.

Read in the source of TensorFlow Privacy (``research/mi_lira_2021``: ``train.py``, ``score.py``,
``plot.py``): ``<folder>/experiment-<k>_<n>/`` has ``keep.npy`` (records,) and
``scores/<epoch>.npy`` (records, augmentations) of logits. As in ``plot.py``, the latest epoch
counts, and the score of a record is the log-likelihood ratio of two Gaussians, of the models that
were trained on it and of those that were not, averaged over augmentations. ``plot.py`` attacks the
last model with all others as references. Here the first half are references and the others are
measured: these are independent given them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.importers.formats.lira_arrays import columns
from hartley.importers.outcomes import Columns
from hartley.importers.source import LARGEST, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

READS = "folder of a LiRA experiment (experiment*/keep.npy, experiment*/scores/)"
FEWEST = 4
"""Models: two references, and two that are measured."""
MANY = 32
"""References from which each record has a deviation of its own; plot.py leaves that to its user."""
LEAST = 1e-30
"""Added to standard deviations, as LiRA does."""


def recognises(source: Source) -> bool:
    """Whether the folder has experiments of LiRA."""
    return source.is_folder and any(source.path.glob("experiment*/keep.npy"))


def read(source: Source) -> Columns:
    """Return membership, LiRA's score and the model of each record of the models measured."""
    folders = [
        path.parent
        for path in sorted(source.path.glob("experiment*/keep.npy"))
        if any(path.parent.glob("scores/*.npy"))
    ]
    if len(folders) < FEWEST:
        raise source.broken(
            f"a LiRA experiment must have {FEWEST} models with scores or more",
            f"got {len(folders)}; run score.py first",
        )
    scores, keep = _stacked(source, folders)
    half = len(folders) // 2
    notes: tuple[str, ...] = (
        f"the first {half} models are LiRA's references, the other {len(folders) - half} are "
        "measured",
    )
    members = keep[:half].sum(0)
    usable = (members >= 2) & (members <= half - 2) if half >= FEWEST else (members == 1)
    if not usable.any():
        raise source.broken(
            "records must be members of some references and not of others",
            f"got none of {len(usable)} records; train more models",
        )
    if not usable.all():
        notes += (f"{int((~usable).sum())} records left out: too few references know them",)
    ratio = _ratios(scores[:half, usable], keep[:half, usable], scores[half:, usable])
    return columns(source, ratio, keep[half:, usable], notes)


def _stacked(source: Source, folders: list[Path]) -> tuple[Array, NDArray[np.bool_]]:
    """Return (models, records, augmentations) logits and (models, records) memberships."""
    scores: list[NDArray[Any]] = []
    keep: list[NDArray[Any]] = []
    size = 0
    for folder in folders:
        latest = sorted(folder.glob("scores/*.npy"))[-1]
        logits, members = Source(latest).array(), Source(folder / "keep.npy").array()
        size += 2 * 8 * logits.size
        if logits.ndim == 1:
            logits = logits[:, None]
        if logits.dtype.kind != "f" or logits.ndim != 2 or members.dtype != bool:
            raise source.broken(
                "scores must be numbers (records, augmentations) and keep.npy true or false",
                f"got {logits.dtype} of shape {logits.shape} and {members.dtype} in {folder.name}",
            )
        if (scores and logits.shape != scores[0].shape) or len(members) < len(logits):
            raise source.broken(
                "all models must have scores of the same records",
                f"got shape {logits.shape} with {len(members)} memberships in {folder.name}",
            )
        if size > LARGEST:
            raise source.broken("an experiment must have at most 4 GiB of scores", "got more")
        scores.append(logits)
        keep.append(members[: len(logits)])
    return np.asarray(np.stack(scores), np.float64), np.stack(keep)


def _ratios(references: Array, keep: NDArray[np.bool_], scores: Array) -> Array:
    """Return (models, records) log-likelihood ratios, averaged over augmentations.

    Args:
        references: (m, records, augmentations) logits of the reference models.
        keep: (m, records) which of them was trained on which record.
        scores: (k, records, augmentations) logits of the models that are measured.
    """
    inside, outside = _gaussian(references, keep), _gaussian(references, ~keep)
    ratio = _log_density(scores, *inside) - _log_density(scores, *outside)
    return np.asarray(ratio.mean(-1))


def _gaussian(logits: Array, chosen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the median and standard deviation (records, augmentations) of the chosen models.

    Of few models the deviation is that of all records together, as in LiRA's fixed variance.
    """
    masked = np.where(chosen[..., None], logits, np.nan)
    median = np.nanmedian(masked, 0)
    if len(logits) >= MANY:
        return median, np.nanstd(masked, 0) + LEAST
    pooled = np.sqrt(np.nanmean((masked - median) ** 2, (0, 1))) + LEAST
    return median, np.broadcast_to(pooled, median.shape)


def _log_density(scores: Array, mean: Array, std: Array) -> Array:
    """Return the log density of a Gaussian, without its constant."""
    return -0.5 * ((scores - mean) / std) ** 2 - np.log(std)
