"""How many uses settle a limit: the number is right for fresh draws of the channel itself."""

import numpy as np
import pytest
from tests.channel.trials import score_trials, symbol_trials

from hartley.channel import power
from hartley.channel.measure import measure
from hartley.channel.trials.validate import check_columns
from hartley.core import AnswerForm, ChannelSpec, Role
from hartley.core.errors import BadTrials

SPECS = {
    "score": ChannelSpec(),
    "bit": ChannelSpec(form=AnswerForm.SYMBOL, alphabet=2),
    "symbol": ChannelSpec(form=AnswerForm.SYMBOL, alphabet=10),
    "rank": ChannelSpec(form=AnswerForm.RANK, alphabet=100),
    "jam": ChannelSpec(form=AnswerForm.SYMBOL, alphabet=2, role=Role.JAM),
}


@pytest.mark.parametrize("form", SPECS)
def test_a_declared_channel_moves_the_declared_bits(form):
    likeness = power.declared(SPECS[form], 0.4, uses=20, spread=0.05)
    columns = likeness.draw(600, np.random.default_rng(0))
    assert len(columns.truth) == 12_000 and columns.cluster.max() == 599
    end = power.settling_end(
        columns, likeness.spec, power.Question("pass", 0.05), np.random.default_rng(1)
    )
    assert 0.4 < end < 0.48


def test_a_likeness_has_the_bits_the_clusters_and_the_secrets_of_its_pilot():
    pilot = score_trials(1.0, clusters=16, seed=3)
    likeness = power.from_pilot(pilot, 0.15, 0.1)
    assert (likeness.uses, likeness.bits) == (len(pilot) // 16, 0.1)
    drawn = likeness.draw(400, np.random.default_rng(0))
    assert 0.4 < drawn.truth.mean() < 0.6
    end = power.settling_end(
        drawn, likeness.spec, power.Question("pass", 0.05), np.random.default_rng(1)
    )
    assert 0.1 < end < 0.12
    with pytest.raises(BadTrials, match="fewer than this channel can move"):
        power.from_pilot(symbol_trials(10, 0.5), 1.0, 3.5)


@pytest.mark.parametrize("multiple", [0.5, 2.0])
def test_the_number_settles_fresh_runs(multiple):
    pilot = symbol_trials(10, 0.5, n=300, seed=1)
    truth = np.log2(10) - 1.0 - 0.5 * np.log2(9)
    need = power.needed(power.from_pilot(pilot, measure(pilot).bits.value), multiple * truth)
    assert need.side == ("over" if multiple < 1 else "pass") and need.simulated
    question, settled = power.Question(need.side, 0.05), 0
    for k in range(60):
        fresh = check_columns(symbol_trials(10, 0.5, n=need.clusters, seed=100 + k))
        end = power.settling_end(fresh, pilot.spec, question, np.random.default_rng(k))
        settled += end > multiple * truth if multiple < 1 else end <= multiple * truth
    assert settled >= 54


def test_more_checks_stricter_limits_and_nearer_bits_need_more():
    likeness = power.declared(SPECS["symbol"], 1.0)
    alone = power.needed(likeness, 0.5)
    assert power.needed(likeness, 0.5, tests=23).clusters > alone.clusters
    assert power.needed(likeness, 0.7).clusters > alone.clusters
    assert power.needed(likeness, 0.97).side == ""
    within = power.needed(likeness, 1.5)
    strict = power.needed(likeness, 1.5, strict=True)
    assert within.side == strict.side == "pass" and strict.clusters >= within.clusters
    quiet = power.declared(SPECS["symbol"], 0.0)
    # ln 0.05 / ln(1 - 0.01 / log2 10): what silent rows could hide of a hundredth of a bit.
    assert power.needed(quiet, 0.01, strict=True).clusters >= 994
    assert not power.needed(power.declared(SPECS["score"], 0.003, uses=2000), 0.002).simulated
