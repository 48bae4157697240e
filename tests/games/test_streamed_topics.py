"""Topics of streamed answers, by who has talked to the service before or behind its defenses."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption.traffic_runs import traffic_runs
from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.token_batching import token_batching
from hartley.defenses.signal.record_padding import record_padding
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.decryption.streamed_topics import StreamedAnswers, streamed_topics
from hartley.kit.streamed_tls import StreamedService, drafted

FEW = {"rounds": 40}


@pytest.fixture(scope="module")
def service():
    """Topics whose answers differ in the lengths of words, and a little in their number."""
    words = ("a", "bbb", "ccccc", "ddddddd")
    pools = [
        tuple(drafted([[words[(k * t + j) % 4] for k in range(8 + t)] for j in range(4)]))
        for t in range(4)
    ]
    spoken = StreamedAnswers(tuple("abcd"), tuple(pools), tuple(pools), turns=2, talks=12)
    return Scene("service", Modality.LANGUAGE, parts=(spoken, StreamedService()))


def accuracy(scene, before=None):
    trials = play(traffic_runs, scene, seed=0, undefended=before, game_params=FEW)
    return float((trials.guess == trials.truth).mean())


def test_topics_are_uniform_and_conversations_of_their_own(service):
    dealt = streamed_topics(service, np.random.default_rng(0), rounds=400)
    truth = np.concatenate([one.truth for one in dealt.rounds])
    counts = np.bincount(truth, minlength=4)
    assert ((counts - 100) ** 2 / 100).sum() < 3 + 5 * np.sqrt(6)
    assert not dealt.cluster
    talks = dealt.rounds[0].view.brief.talks
    others = streamed_topics(service, np.random.default_rng(1), rounds=2).rounds[0].view.brief.talks
    # Who observes has held other conversations in each deal.
    assert talks.x.shape != others.x.shape or not np.array_equal(talks.x, others.x)


def test_padding_stops_who_does_not_know_of_it_and_less_who_trains_behind_it(service):
    padded = defended(service, record_padding, {"pad": 64})
    assert accuracy(service) > 0.9
    static, adaptive = accuracy(padded, service), accuracy(padded)
    # The number of records still shows, and so do the steps of the model.
    assert static < 0.8 < adaptive
    assert static < adaptive - 0.2
    both = defended(padded, token_batching, {"batch": 1000})
    assert accuracy(both) < 0.6


def test_topics_without_answers_are_one_clear_line():
    with pytest.raises(UsageError, match=r"without answers about \['b'\]"):
        StreamedAnswers(("a", "b"), ((drafted([["x"]])[0],), ()), ((drafted([["x"]])[0],), ()))
