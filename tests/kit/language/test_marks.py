"""Marks of texts: exact false alarms, no distortion where claimed, parity with transformers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hartley.core.errors import UsageError
from hartley.infotheory.exact_tails import log2_gamma_tail, log2_weighted_tail
from hartley.kit.language.marks import green_tokens, marked_writer, tournament
from hartley.kit.language.marks.exponential import exponential
from hartley.kit.language.marks.payload import payload
from hartley.kit.language.marks.text_mark import Step, firsts, grams

MARKS = (
    green_tokens.kgw(),
    green_tokens.self_hash(),
    green_tokens.unigram(),
    exponential(),
    tournament.synthid(),
    payload(),
)
NAMES = [mark.name for mark in MARKS]
VOCABULARY = 300
LAW = 1.0 / np.arange(1, VOCABULARY + 1) ** 1.1
LAW /= LAW.sum()


def begin(rows, length):
    """A model that draws every token from one law, whatever is before it."""
    del length
    logits = np.log(np.broadcast_to(LAW, (len(rows), VOCABULARY)))
    return logits, lambda tokens: logits


def human(count: int, length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(VOCABULARY, (count, length), p=LAW)


@pytest.mark.parametrize("n", [1, 7, 400])
def test_gamma_tail_is_scipys(n):
    for score in (0.0, 0.3 * n, n, 1.5 * n, 3.0 * n):
        expected = stats.gamma.logsf(score, n) / math.log(2)
        assert log2_gamma_tail(score, n) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert log2_gamma_tail(30_000.0, n) < -30_000  # where a plain number would be 0


def test_weighted_tail_is_the_sum_over_all_coins():
    weights, share = np.array([1, 1, 2, 3, 3, 5]), 0.3
    tosses = (np.arange(64)[:, None] >> np.arange(6)) & 1
    chances = np.prod(np.where(tosses, share, 1 - share), axis=1)
    sums = tosses @ weights
    for observed in range(16):
        expected = math.log2(chances[sums >= observed].sum())
        assert log2_weighted_tail(weights, observed, share) == pytest.approx(expected, abs=1e-9)
    many = np.repeat([1, 2], 3000)
    assert log2_weighted_tail(many, 9000, 0.5) == pytest.approx(-6000)


@pytest.mark.parametrize(
    "call",
    [
        lambda: log2_gamma_tail(1.0, 0),
        lambda: log2_gamma_tail(-1.0, 2),
        lambda: log2_weighted_tail([], 0, 0.5),
        lambda: log2_weighted_tail([1, 2], 4, 0.5),
        lambda: log2_weighted_tail([1, 2], 1, 1.0),
    ],
)
def test_tails_refuse_what_is_no_tail(call):
    with pytest.raises(UsageError):
        call()


@pytest.mark.parametrize("mark", MARKS, ids=NAMES)
def test_fresh_keys_alarm_no_more_often_than_the_level(mark):
    texts = human(400, 60, 1)
    p = np.array([mark.evidence(row, 1000 + k).log2_p for k, row in enumerate(texts)])
    for level in (0.5, 0.1, 0.02):
        alarms = int((p <= math.log2(level)).sum())
        assert stats.binom.sf(alarms - 1, len(p), level) > 1e-4
    if mark.read is None:  # and not much more rarely: the test is not merely cautious
        assert (p <= math.log2(0.5)).mean() > 0.35


@pytest.mark.parametrize("mark", MARKS, ids=NAMES)
def test_marked_texts_are_detected_under_their_key_alone(mark):
    n, length = 12, 200
    prompts, keys = human(n, 8, 2), np.arange(n) + 5
    messages = np.random.default_rng(3).integers(0, 2, (n, 16)) if mark.read else None
    writing = marked_writer.write(begin, prompts, length, 0, mark, keys=keys, messages=messages)
    assert writing.tokens.shape == (n, length)
    entropy = -(LAW * np.log2(LAW)).sum()
    assert writing.entropy == pytest.approx(entropy)
    under = zip(writing.tokens, keys, strict=True)
    owners = [mark.detection(row, int(key)).marked() for row, key in under]
    assert owners.count(True) >= n - 1
    under = zip(writing.tokens, keys, strict=True)
    others = [mark.detection(row, int(key) + 99).marked() for row, key in under]
    assert others.count(False) >= n - 1
    if mark.read is not None:
        right = [
            (mark.read(row, int(key), 16)[0] > 0) == bits
            for row, key, bits in zip(writing.tokens, keys, messages, strict=True)
        ]
        assert np.mean(right) > 0.97


@pytest.mark.parametrize("mark", MARKS, ids=NAMES)
def test_short_texts_are_undecided_and_never_unmarked(mark):
    empty = mark.detection(np.array([], dtype=np.int64), 3)
    assert empty.undecided == "undecided at 0 tokens" and empty.marked() is None
    assert mark.detection(np.array([4, 8, -1, -1]), 3).undecided == "undecided at 2 tokens"
    same = np.full(500, 7)  # one n-gram over and over is one unit, however long
    assert mark.detection(same, 3).marked() is not True


@pytest.mark.parametrize(
    "mark", [m for m in MARKS if m.name in ("exponential", "synthid")], ids=lambda m: m.name
)
def test_over_keys_the_next_token_has_the_models_law(mark):
    law = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    n = 4000 if mark.name == "exponential" else 400
    rng = np.random.default_rng(5)
    step = Step(
        law=np.tile(law, (n, 1)),
        context=np.tile(np.array([3, 1, 4, 1])[: mark.context], (n, 1)),
        keys=rng.integers(2**62, size=n),
        fresh=np.ones(n, dtype=bool),
        draws=rng.random(n),
        messages=np.zeros((n, 0), dtype=np.int64),
    )
    counts = np.bincount(mark.choose(step), minlength=5)
    assert stats.chisquare(counts, n * law).pvalue > 1e-3


def test_kgw_is_distorted():
    """The control of the test above: it can fail."""
    law, n = np.array([0.5, 0.2, 0.15, 0.1, 0.05]), 4000
    rng = np.random.default_rng(5)
    step = Step(
        law=np.tile(law, (n, 1)),
        context=np.full((n, 1), 3),
        keys=rng.integers(2**62, size=n),
        fresh=np.ones(n, dtype=bool),
        draws=rng.random(n),
        messages=np.zeros((n, 0), dtype=np.int64),
    )
    counts = np.bincount(green_tokens.kgw().choose(step), minlength=5)
    assert stats.chisquare(counts, n * law).pvalue < 1e-6


def test_synthid_has_the_numbers_of_transformers():
    torch = pytest.importorskip("torch")
    processors = pytest.importorskip("transformers.generation.logits_process")
    keys = [654, 400, 836, 123, 340, 443, 597, 160, 57]
    peer = processors.SynthIDTextWatermarkLogitsProcessor(
        ngram_len=5,
        keys=keys,
        sampling_table_size=tournament.TABLE,
        sampling_table_seed=0,
        context_history_size=1024,
        device=torch.device("cpu"),
    )
    table = peer.sampling_table.numpy().astype(np.uint8)
    ours = np.array(keys, dtype=np.uint64)
    text = human(1, 80, 6)[0]
    text[40:50] = text[10:20]  # contexts that come again
    rows = torch.from_numpy(text[None])
    g = peer.compute_g_values(rows)[0].numpy()
    assert (table[tournament.entries(tournament.states(grams(text, 4)), ours)] == g).all()
    mask = peer.compute_context_repetition_mask(rows)[0].numpy()
    assert (np.flatnonzero(mask) == firsts(grams(text, 4)[:, :-1])).all()
    assert (table[tournament.coins(text, ours, 4)] == g[mask.astype(bool)]).all()
    laws = np.random.default_rng(7).dirichlet(np.full(50, 0.3), size=3)
    context = human(3, 4, 8)
    peer(torch.zeros((3, 1), dtype=torch.long), torch.zeros((3, 50)))  # its first call sees zeros
    peer.state.context = torch.from_numpy(
        np.concatenate([np.zeros((3, 1), int), context[:, :3]], 1)
    )
    theirs = peer(torch.from_numpy(context[:, 3:]), torch.from_numpy(np.log(laws)))
    contested = tournament.contested(laws, context, ours, table)
    assert contested == pytest.approx(theirs.softmax(1).numpy(), abs=1e-6)


def test_binomial_law_of_all_readings_of_synthid_is_too_narrow():
    """Layers share coins of one table: the spread is larger than that of independent readings."""
    mark = tournament.synthid()
    text = human(1, 300, 9)[0]
    n = len(firsts(grams(text, 4)[:, :-1])) * 30
    means = np.array([mark.evidence(text, key).score for key in range(300)])
    inflation = means.var() / (0.25 / n)
    assert inflation > 1.05
    read = tournament.coins(text, tournament.secrets(1, 30)[0], 4)
    weights = np.unique(read, return_counts=True)[1]
    assert inflation == pytest.approx((weights**2).sum() / weights.sum(), rel=0.35)
