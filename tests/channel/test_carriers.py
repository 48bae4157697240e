"""A zero behind a detector, a victim or a fingerprint that does not work is flagged, not safe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from hartley.channel.measure import measure
from hartley.channel.readouts.jam import measure_jam
from hartley.channel.trials.carriers import SILENT, silent_victims
from hartley.core import AnswerForm, ChannelSpec, Role, Trials
from hartley.engine.result import document
from hartley.engine.result.gate import judge
from hartley.engine.run.play_row import play_row
from hartley.infotheory.binary_channel import bits as bits_of

JAM = ChannelSpec(
    role=Role.JAM, form=AnswerForm.SYMBOL, alphabet=2, unit="bit", planted=True, clustered=True
)


def owner(bits, rng, *, clusters=40, each=32, best=None):
    """What an owner of a channel of ``bits`` decodes; ``best``: some pictures hold all of them."""
    right = 0.5 if not bits else brentq(lambda p: bits_of(p, 1 - p) - bits, 0.5, 1 - 1e-9)
    cluster = np.repeat(np.arange(clusters), each)
    truth = rng.integers(0, 2, len(cluster))
    rate = np.full(clusters, right)
    if best is not None:
        rate = np.where(rng.random(clusters) < (right - 0.5) / (best - 0.5), best, 0.5)
    hit = rng.random(len(cluster)) < rate[cluster]
    return truth, np.where(hit, truth, 1 - truth), cluster


def flagged(bits, rng, **how):
    truth, reference, cluster = owner(bits, rng, **how)
    reading = measure_jam(truth, reference, reference, cluster, JAM, rng=rng, full=False)
    return any(words.startswith(SILENT) for words in reading.assumptions)


def test_channels_of_a_tenth_are_hardly_ever_flagged_and_silent_ones_nearly_always():
    rng = np.random.default_rng(10)
    # 600 of each, in bench runs: 0, 0.2 and 0 % at a tenth, 100 % at 0, 92 % at 0.02 bit.
    assert sum(flagged(0.1, rng) for _ in range(30)) == 0
    assert sum(flagged(0.1, rng, best=0.8) for _ in range(30)) == 0
    assert sum(flagged(0.95, rng, clusters=8) for _ in range(10)) == 0
    assert sum(flagged(0.0, rng) for _ in range(30)) >= 28
    assert sum(flagged(0.005, rng) for _ in range(15)) >= 13


def test_a_watermark_that_does_not_embed_settles_no_limit():
    rows = {
        kind: play_row("compression", f"{kind}:watermark", params={}, game_params={})
        for kind in ("dead", "live")
    }
    (flag,) = rows["dead"]["flags"]
    assert flag.startswith(f"{SILENT}: without the attack the owner decodes 0 bit of 1 [")
    assert flag.endswith("there is nothing to destroy") and not rows["live"]["flags"]
    verdict = judge({"channels": [rows["dead"] | {"departures": []}]}, {"watermark": 0.9})
    assert verdict.status == "inconclusive" and "is flagged: SILENT CHANNEL" in verdict.reasons[0]


def test_victims_that_hold_no_fingerprint_settle_no_limit():
    dead, live = (
        play_row("knockoff", f"{kind}:extraction", params={}, game_params={"rounds": 5})
        for kind in ("dead", "live")
    )
    assert dead["flags"][0].startswith(f"{SILENT}: the victims themselves answer right")
    assert not live["flags"]


@pytest.fixture
def poisoned():
    """Four classes of messages; nothing gets through."""
    rng = np.random.default_rng(3)
    spec = ChannelSpec(
        role=Role.INJECT, form=AnswerForm.SYMBOL, alphabet=4, unit="trigger", planted=True
    )
    truth, guess = rng.integers(0, 4, (2, 128))
    return Trials(spec=spec, truth=truth, guess=guess, reference=guess)


@pytest.mark.parametrize(
    ("accuracy", "drop", "silent"),
    [
        (0.25, 0.0, True),  # nothing was learnt
        (0.26, 0.0, True),  # a twentieth is not reached
        (0.60, 0.0, False),
        (0.25, 0.6, False),  # the poison took it away, not the training
    ],
)
def test_victims_at_chance_cannot_be_poisoned(poisoned, accuracy, drop, silent):
    rng = np.random.default_rng(1)
    noise = rng.uniform(-0.01, 0.01, 16)
    rounds = {"clean_accuracy": tuple(accuracy + noise), "clean_accuracy_drop": (drop,) * 16}
    trials = replace(poisoned, metrics_by_round=rounds)
    assert any(silent_victims(trials)) == silent
    flags = document.flags(measure(trials))
    assert [f.startswith(f"{SILENT}: victims without poison classify") for f in flags] == [
        True
    ] * silent


def test_two_good_victims_are_few_rounds_and_not_victims_at_chance(poisoned):
    """At two rounds a t interval of .70 and .90 reaches chance: the flag asks for rounds."""
    trials = replace(poisoned, metrics_by_round={"clean_accuracy": (0.70, 0.90)})
    (few,) = silent_victims(trials)
    assert few.startswith(f"{SILENT}: 2 rounds do not show") and few.endswith("play more rounds")
    assert "no attack could read anything" not in few
    trials = replace(poisoned, metrics_by_round={"clean_accuracy": (0.24, 0.25)})
    (dead,) = silent_victims(trials)
    assert dead.endswith("no attack could read anything")
