"""The scan of records: p-values that hold for clean records, and detectors that find poison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.games.poisoning.suspect_records import SuspectRecords, likely, share_by_chance
from hartley.games.poisoning.suspicion import check_rate, conformal, scanned, together
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline

PIPELINE = Pipeline(
    dense((6,), 2, (16,)), Training(epochs=8), modality=Modality.TABULAR, cached=False
)


def blobs(rng: np.random.Generator, n: int, name: str = "records") -> Data:
    y = rng.integers(0, 2, n)
    x = rng.standard_normal((n, 6)) + 1.5 * y[:, None] * (np.arange(6) < 2)
    return Data(name, Modality.TABULAR, x.astype(np.float32), y)


def test_the_rank_of_a_score_counts_ties_and_itself() -> None:
    p = conformal(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(p, [1.0, 3 / 4, 1 / 4])


def test_several_detectors_together_hold_the_rate_of_one() -> None:
    # Dependent scores of five detectors; every choice of the record among the others is as likely.
    rng = np.random.default_rng(0)
    hits, tries = 0, 4_000
    for _ in range(40):
        common = rng.standard_normal((100 + 99, 1))
        scores = common + rng.standard_normal((199, 5)) * [0.1, 0.5, 1, 3, 9]
        p = together([(scores[:100, d], scores[100:, d]) for d in range(5)])
        hits += int((p <= 0.05 + 1e-12).sum())
    # 40 calibrations: their shares have a beta law.
    one = betabinom(100, 5, 95)
    assert abs(hits - 0.05 * tries) < 4 * 40**0.5 * one.std()


def test_together_is_the_full_ranking_done_by_hand() -> None:
    rng = np.random.default_rng(1)
    own, others = rng.standard_normal((7, 3)), rng.standard_normal((12, 3))
    p = together([(own[:, d], others[:, d]) for d in range(3)])
    for i in range(7):
        pool = np.vstack([others, own[i]])
        ranks = (pool[None, :, :] >= pool[:, None, :]).sum(1) / 13
        # The least rank, and of equal ones the product of all.
        least = np.lexsort((np.log(ranks).sum(1).round(9), ranks.min(1).round(9)))
        least = np.argsort(least)
        assert p[i] == pytest.approx((least <= least[-1]).sum() / 13)


@pytest.mark.parametrize("trusted", [True, False])
def test_clean_records_are_flagged_at_the_declared_rate(trusted: bool) -> None:
    rng = np.random.default_rng(2)
    flagged = 0
    for seed in range(6):
        records, clean = blobs(rng, 200), blobs(rng, 160, "clean") if trusted else None
        everyone = np.ones((1, 200), dtype=bool)
        (found,) = scanned(PIPELINE, PIPELINE.fit, records, everyone, seed, clean=clean)
        assert set(found.by) >= {"loss_filter", "deep_knn", "spectral_signatures"}
        assert ("disagreement" in found.by) == trusted
        flagged += int(found.flagged(0.1).sum())
    # 1,200 records; with the luck of 12 calibrations on 80 records each.
    assert 60 <= flagged <= 180


def test_a_trigger_that_nets_learn_is_found_and_clean_records_stay() -> None:
    rng = np.random.default_rng(3)
    records, clean = blobs(rng, 300), blobs(rng, 1_200, "clean")
    x, y = records.x.copy(), records.labels.copy()
    x[:20, 5], y[:20] = 6.0, 1
    x[:20, :2] = rng.standard_normal((20, 2))  # of class 0
    part = SuspectRecords(replace(records, x=x, y=y), clean, PIPELINE, 0.05)
    found = part.findings()
    rows = [record["row"] for record in found["records"]]
    assert sum(row < 20 for row in rows) >= 15
    assert found["flagged"] > found["likely"] >= found["expected"]
    assert found["beyond"] >= 10 and found["trusted"] == 1_200 and found["calibrating"] == 600
    assert set(found["records"][0]["detectors"]) & {"spectral_signatures", "disagreement"}
    alone = replace(part, clean=None).findings()
    # A share of the records, whatever is in them.
    assert alone["flagged"] <= 15 and alone["beyond"] == 0 and alone["likely"] is None


def test_what_is_likely_is_the_law_of_two_calibrations() -> None:
    rng = np.random.default_rng(4)
    rank = 5  # of 99 + 1 at 5 %
    shares = rng.beta(rank, 100 - rank, (20_000, 2))
    counts = binom.rvs(200, shares, random_state=rng).sum(1)
    most = likely(400, 99, 0.05)
    assert (counts <= most).mean() >= 0.945 and (counts <= most - 1).mean() <= 0.955
    assert likely(400, 10, 0.05) == 0


def test_a_list_is_charged_for_chance_as_benjamini_and_hochberg_do() -> None:
    np.testing.assert_allclose(share_by_chance(np.array([0.001, 0.02, 0.021, 0.9])), [
        0.004, 0.028, 0.028, 0.9,
    ])  # fmt: skip


def test_too_few_trusted_records_are_refused_with_what_they_can_hold() -> None:
    check_rate(198, 0.01)
    with pytest.raises(UsageError, match=r"at least 198 trusted records.* got 60.* 0\.033"):
        check_rate(60, 0.01)
