"""Canaries of every modality: one secret, one record; what cannot be planted is said."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.engine.run.play import play
from hartley.games.memorization import canaries, small_nets, text_canaries, verbatim
from hartley.games.memorization.canaries import planted


def _data(modality: Modality, n: int = 40) -> Data:
    rng = np.random.default_rng(3)
    x = rng.random((n, *{"audio": (1, 12, 6), "vision": (1, 5, 6)}.get(modality, (30,))))
    y = rng.integers(0, 3, n)
    return Data("d", modality, x.astype(np.float32), y)


@pytest.mark.parametrize("modality", [Modality.VISION, Modality.AUDIO, Modality.TABULAR])
def test_each_secret_is_another_record_and_its_label_is_not_its_own(modality: Modality) -> None:
    data = _data(modality)
    made = planted(data, 5)
    assert canaries.candidates(made) == 100
    records = canaries.every(made, 2)
    assert len(np.unique(records.x.reshape(100, -1), axis=0)) == 100
    secrets = np.array([0, 7, 42, 99, 10])
    assert (canaries.write(made, secrets)[2] == records.x[42]).all()
    rest = np.delete(np.arange(data.x[0].size), made.facts["cells"])
    written = canaries.write(made, secrets).reshape(5, -1)
    assert (written[:, rest] == made.x.reshape(5, -1)[:, rest]).all()
    home = [np.flatnonzero((data.x == x).reshape(len(data), -1).all(1))[0] for x in made.x]
    assert (data.y[home] != made.y).all() and made.x.dtype == np.float32


def test_pairs_hide_a_caption_and_nodes_hide_themselves() -> None:
    rng = np.random.default_rng(0)
    pairs = Data("p", Modality.PAIRED, rng.random((60, 8)), facts={"split": 3})
    made = planted(pairs, 4)
    assert canaries.candidates(made) == 56
    both = canaries.write(made, np.arange(4))
    assert (both[:, :3] == made.x[:, :3]).all()
    assert all((pairs.x[:, 3:] == row).all(1).any() for row in both[:, 3:])
    nodes = Data("n", Modality.GRAPH, np.arange(90)[:, None], np.arange(90) % 3)
    made = planted(nodes, 6)
    table = made.facts["codes"][..., 0]
    assert len(np.unique(table)) == table.size and (nodes.y[table] == made.y[:, None]).all()
    assert canaries.write(made, np.full(6, 2))[:, 0].tolist() == table[:, 2].tolist()


@pytest.mark.parametrize(
    ("count", "length", "words"),
    [(0, 2, "got 0"), (41, 2, "got 41"), (4, 5, "digits, got 5"), (4, 4, "at least 40 cells")],
)
def test_what_cannot_be_planted_is_said(count: int, length: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        planted(_data(Modality.VISION), count, length=length)


def test_digits_remember_and_forget() -> None:
    from hartley.attacks.model_to_data.memorization.exposure import exposure
    from hartley.scenes.digits import digits

    scene = digits(records=120, epochs=30)
    many = {"rounds": 32, "repeats": 0}
    none = measure(play(exposure, scene, seed=0, game_params=many)).metrics
    assert abs(none["exposure"]["value"] - none["exposure_null"]) < 0.5
    assert none["exposure"]["n"] == 128 and none["exposure_null"] == pytest.approx(1.4, abs=0.05)
    often = measure(play(exposure, scene, seed=0, game_params=many | {"repeats": 8}))
    assert often.metrics["exposure"]["low"] > 3 and (often.bits.lower or 0) > 1
    with pytest.raises(UsageError, match="memorization: repeats must be at least 0, got -1"):
        play(exposure, scene, seed=0, game_params={"repeats": -1})
    with pytest.raises(UsageError, match="must have 'contacts' for memorization"):
        play(exposure, scene, seed=0, game_params={"form": "contacts"})


def test_chances_of_saying_a_secret_by_hand() -> None:
    laws = np.log(
        np.array([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [0.4, 0.5, 0.1]]])
    )
    digits = np.array([[0, 2], [1, 0]])
    chance = verbatim.secret_probability(laws, digits)
    assert chance == pytest.approx([0.4, 0.08])
    cold = verbatim.secret_probability(laws, digits, 0.5)
    assert cold[0] == pytest.approx(0.25 / 0.38 * 0.64 / 0.66)
    assert verbatim.discoverable(chance, 10) == pytest.approx(1 - (1 - chance) ** 10)
    bits = verbatim.inextractable(laws, digits, np.arange(3))
    # The first is said greedily; the second is found soonest by a guess among nine.
    assert bits == pytest.approx([0, np.log2(9)]) and bits[1] < -np.log2(0.08)


def test_harvest_reads_numbers_behind_their_own_beginning() -> None:
    facts = {"symbols": np.arange(10), "length": 2, "ending": np.array([11])}
    asked = Data("c", Modality.LANGUAGE, np.array([[20, 30, 31], [21, 30, 31]]), facts=facts)
    texts = np.array([[40, 20, 30, 31, 4, 2], [21, 30, 31, 1, 7, 20], [20, 30, 31, 4, 40, 2]])
    assert text_canaries.harvest(texts, asked) == [{42: 0}, {17: 1}]
    scores = text_canaries.ranked([{42: 3, 17: 0}, {}], 2, np.random.default_rng(0))
    assert scores[0].argsort()[::-1][:2].tolist() == [17, 42] and len(set(scores[1])) == 100
    verified = verbatim.Verified(None, asked, np.array([42, 99]), texts, texts[:0])  # type: ignore[arg-type]
    loot = Data("t", Modality.LANGUAGE, texts, role="texts")
    assert verified(loot) == {"verbatim": 0.5, "training_text": 0.0, "training_text_null": 0.0}
    assert verbatim.overlap(texts, verbatim.ngrams(texts[:1], 4), 4) == pytest.approx(2 / 3)


def test_silence_after_the_true_first_digit() -> None:
    heard = np.full((10, 6, 2), 0)
    heard[..., 0], heard[..., 1] = 5, 3
    heard[7, :, :] = [[9, 1]]
    scores = text_canaries.refusal_scores(heard.reshape(60, 2), np.arange(10), 3)
    assert scores.argmax() == 753


def test_the_slope_of_the_search_is_the_slope_of_its_distance() -> None:
    rng = np.random.default_rng(0)
    net = rng.standard_normal((6, 4)), rng.standard_normal(6), rng.standard_normal(6)
    y = np.array([-1.0, 1, -1])
    x, share = rng.standard_normal((3, 4)), rng.random(3) + 0.5

    def distance(x: np.ndarray, share: np.ndarray) -> float:
        before = x @ net[0].T + net[1]
        active = 1 / (1 + np.exp(-small_nets.SHARP * before))
        weighed = active * net[2] * (share * y)[:, None]
        gaps = (
            weighed.T @ x - net[0],
            weighed.sum(0) - net[1],
            np.maximum(before, 0).T @ (share * y) - net[2],
        )
        return float(sum((g**2).sum() for g in gaps))

    slope, step = small_nets._slope(x, share, y, net), 1e-6
    for i, j in [(0, 1), (2, 3), (1, 0)]:
        up, down = x.copy(), x.copy()
        up[i, j] += step
        down[i, j] -= step
        seen = (distance(up, share) - distance(down, share)) / (2 * step)
        assert slope[i, j] == pytest.approx(seen, rel=1e-3, abs=1e-3)
    more, less = share.copy(), share.copy()
    more[1] += step
    less[1] -= step
    seen = (distance(x, more) - distance(x, less)) / (2 * step)
    assert slope[1, 4] == pytest.approx(seen, rel=1e-3)
