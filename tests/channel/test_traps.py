"""An error of other audits: a threshold chosen on the scores it is judged by."""

import numpy as np

from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec
from hartley.infotheory.binary_channel import clopper_pearson, rate_high, rate_low

ALPHA, N, DRAWS = 0.05, 1000, 3000


def test_the_best_of_all_thresholds_breaks_its_level_and_the_declared_ones_do_not():
    rng = np.random.default_rng(1)
    # Identical laws: only the order in which the two secrets' scores fall counts, by chance alone.
    ones = rng.permuted(np.tile(np.repeat([True, False], N), (DRAWS, 1)), axis=1)
    tp = np.cumsum(ones, axis=1, dtype=np.int16)
    fp = np.arange(1, 2 * N + 1, dtype=np.int16) - tp
    counts = np.arange(N + 1.0)
    low, high = rate_low(counts, N, ALPHA / 2), rate_high(counts, N, ALPHA / 2)
    chosen = (low[tp] > high[fp]).any(axis=1)  # ε > 0, at some threshold of the scores themselves

    place = -np.arange(2.0 * N)
    spec, declared = ChannelSpec(alpha=ALPHA), 0
    for row in ones[:1000]:
        scores = ScorePair.split(place[row], place[~row])
        declared += certify_scores(scores, spec, of=("epsilon",), delta=0.0)[0]["epsilon"] > 0

    worst = float(clopper_pearson(int(chosen.sum()), DRAWS, 0.005)[0])
    assert worst > ALPHA, f"the trap has gone: {chosen.mean():.3f}"
    assert declared <= ALPHA * 1000
