"""Traffic runs: tell topics apart by runs of record lengths and of the times between records."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.streamed_topics import StreamedTopicsBrief, streamed_topics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BUCKETS = 1 << 13
"""Places that runs are hashed to."""

RUNS = (1, 2, 3, 4)
TICK = 0.01
"""Seconds that times are counted in."""

SMOOTHED = 0.05


@attack(
    game=streamed_topics,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2511.03675",
    adapts=True,
)
def traffic_runs(view: View[StreamedTopicsBrief], rng: Rng) -> Outcome:
    """Name the topic under which the runs of a trace are likeliest, learnt from the observer's own.

    Runs of one to four records, by their lengths and by the times between them, are counted for
    each topic and read by naive Bayes, with the number of records and of bytes beside them. An
    adaptive observer learns from conversations with the defended service, a static one from those
    before it was defended.
    """
    known = view.brief.talks if view.brief.behind is None else view.brief.behind
    logs = _learnt(known.x.tobytes(), known.x.shape, known.labels.tobytes(), len(view.brief.topics))
    scores = logs @ _counts(view.data.x[0])
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    topic = int(rng.choice(best))
    name = np.array([view.brief.topics[topic]])
    return Outcome(
        guess=np.array([topic]), asset=Data("topic", view.data.modality, name, role="topic")
    )


@lru_cache(maxsize=4)
def _learnt(
    traces: bytes, shape: tuple[int, ...], labels: bytes, topics: int
) -> NDArray[np.float64]:
    """Return the log-probabilities (topics, buckets) of the runs of each topic."""
    x = np.frombuffer(traces, dtype=np.float64).reshape(shape)
    y = np.frombuffer(labels, dtype=np.int64)
    counts = np.full((topics, BUCKETS), SMOOTHED)
    for trace, topic in zip(x, y, strict=True):
        counts[topic] += _counts(trace)
    out: NDArray[np.float64] = np.log(counts / counts.sum(1, keepdims=True))
    return out


def _counts(trace: NDArray[Any]) -> NDArray[np.float64]:
    """Return (buckets,) how often each run is in a trace (records, 2)."""
    trace = trace[trace[:, 0] >= 0]
    lengths = trace[:, 0].astype(np.int64)
    gaps = np.rint(np.diff(trace[:, 1], prepend=0.0) / TICK).astype(np.int64)
    counts = np.zeros(BUCKETS)
    for kind, column in enumerate((lengths, gaps)):
        for run in RUNS:
            code = np.full(max(0, len(column) - run + 1), 31 * kind + run, dtype=np.uint64)
            for k in range(run):
                part = column[k : k + len(code)].astype(np.uint64)
                code = (code ^ part) * np.uint64(0x9E3779B97F4A7C15)
                code ^= code >> np.uint64(29)
            np.add.at(counts, (code % np.uint64(BUCKETS)).astype(np.int64), 1.0)
    # Size of the whole, in steps of an eighth of its logarithm.
    for kind, size in enumerate((len(lengths), int(lengths.sum()))):
        step = round(8 * np.log2(1 + size))
        counts[(7919 * (kind + 1) + 104_729 * step) % BUCKETS] += 4.0
    return counts
