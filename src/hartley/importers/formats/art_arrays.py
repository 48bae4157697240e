"""Scores of members and of non-members in two arrays, as users of ART save them.

The Adversarial Robustness Toolbox has no format of its own: the membership attacks of ART 1.x
(``art/attacks/inference/membership_inference``: ``infer(x, y)``) return (n,) or (n, 1) arrays of 0
and 1, with ``probabilities=True`` of chances; a user saves those of the training and of other
records with ``numpy.savez(path, members=…, nonmembers=…)``. The names in ``PAIRS`` are known, with
or without ``_`` and ``-``. Arrays of 0 and 1 are guesses, others are scores, of which larger ones
mean member.
"""

from __future__ import annotations

import numpy as np

from hartley.importers.formats.lira_arrays import ONE_MODEL
from hartley.importers.outcomes import Columns
from hartley.importers.source import Source

READS = "two arrays, members and nonmembers (.npz, as saved from ART)"
PAIRS = {
    "members": "nonmembers",
    "member": "nonmember",
    "memberscores": "nonmemberscores",
    "inferredtrain": "inferredtest",
    "trainscores": "testscores",
    "scorestrain": "scorestest",
    "train": "test",
    "scoresin": "scoresout",
    "in": "out",
}
"""Names of the members' array, and of that of the others."""


def recognises(source: Source) -> bool:
    """Whether the archive has arrays of members and of others."""
    return source.is_zip and _pair(source) is not None


def read(source: Source) -> Columns:
    """Return membership, and guess or score, of each record."""
    pair = _pair(source)
    if pair is None:
        raise source.broken(
            "the archive must have two arrays such as members and nonmembers",
            f"got {', '.join(sorted(source.array_names())) or 'none'}",
        )
    arrays = source.arrays(pair)
    parts = [
        np.squeeze(arrays[name], -1) if _is_column(arrays[name]) else arrays[name] for name in pair
    ]
    for name, part in zip(pair, parts, strict=True):
        if part.ndim != 1 or part.dtype.kind not in "biuf" or not len(part):
            raise source.broken(
                f"its array {name} must be one number a record",
                f"got {part.dtype} of shape {part.shape}",
            )
    truth = np.repeat([1, 0], [len(part) for part in parts])
    answers = np.concatenate([part.astype(np.float64) for part in parts])
    if np.isin(answers, (0.0, 1.0)).all():
        return Columns({"truth": truth, "guess": answers.astype(np.int64)}, (ONE_MODEL,))
    return Columns({"truth": truth, "score": answers}, (ONE_MODEL,))


def _is_column(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.shape[1] == 1


def _pair(source: Source) -> tuple[str, str] | None:
    plain = {name.lower().replace("_", "").replace("-", ""): name for name in source.array_names()}
    return next(
        (
            (plain[one], plain[other])
            for one, other in PAIRS.items()
            if {one, other} <= plain.keys()
        ),
        None,
    )
