"""Letter models against counts by hand; searches for keys in a novel that they do not know."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption._shared import key_posterior, ngram_model, shift_search
from hartley.attacks.data_to_data.decryption._shared.key_search import Effort, _Search, solve
from hartley.attacks.data_to_data.decryption.key_sampling import key_sampling
from hartley.attacks.data_to_data.decryption.ngram_climbing import ngram_climbing
from hartley.attacks.data_to_data.decryption.periodic_climbing import periodic_climbing
from hartley.channel.measure import measure
from hartley.core import Data, Modality, Scene
from hartley.data.language import corpus
from hartley.engine.run.play import play
from hartley.games.decryption import ciphers, messages
from hartley.kit.protection import one_time_pad

TINY = ciphers.letters("banana and bananas")


@pytest.fixture(scope="module")
def prose():
    text = ciphers.letters(corpus())
    public = Data("english", Modality.LANGUAGE, text[None, :300_000])
    return messages.prose(public, text[300_000:])


def test_a_run_falls_back_on_the_shorter_one_by_witten_and_bell():
    model = ngram_model.learn(TINY)
    one = np.exp(model.logs[0])
    # 16 letters of 5 kinds: b a n a n a a n d b a n a n a s.
    assert one[0] == pytest.approx((7 + 5 / 26) / (16 + 5), rel=1e-5)
    # After "n": a 4 times, d once.
    two = np.exp(model.logs[1]).reshape(26, 26)
    assert two[13, 0] == pytest.approx((4 + 2 * one[0]) / (5 + 2), rel=1e-5)
    assert two[25, 0] == pytest.approx(one[0], rel=1e-5)


def test_the_next_letter_has_one_probability_in_all_by_every_length():
    model = ngram_model.learn(TINY)
    for logs in model.logs:
        assert np.exp(logs).reshape(-1, 26).sum(1) == pytest.approx(1, rel=1e-4)
    linked = np.ones(6, dtype=bool)
    for context in ("banan", "zzzzz", "nanaa"):
        texts = np.stack([np.append(ciphers.letters(context), a) for a in range(26)])
        before = model.score_long(np.delete(texts, -1, 1)[:1], linked[:5])
        assert np.exp(model.score_long(texts, linked) - before).sum() == pytest.approx(1, rel=1e-4)


def test_a_run_across_a_break_does_not_count():
    model = ngram_model.learn(TINY)
    text = ciphers.letters("banana")
    linked = np.array([False, True, True, False, True, True])
    halves = [text[:3], text[3:]]
    whole = sum(float(model.score(half, 2, np.ones(3, dtype=bool))) for half in halves)
    assert float(model.score(text, 2, linked)) == pytest.approx(whole, rel=1e-5)
    assert model.score_long(text[None], linked)[0] == 0  # no run of five is whole


@pytest.mark.parametrize("length", [1, 2, 4, 6])
def test_a_text_too_short_for_a_run_still_has_a_key(length):
    model = ngram_model.learn(TINY)
    units = np.arange(length)
    key = solve(units, units > 0, model, Effort(3, 2, 1), np.random.default_rng(0))
    assert sorted(key) == list(range(26))


def test_climbing_ends_where_no_swap_is_better(prose):
    model = ngram_model.learn(prose.public.x[0])
    units = ciphers.letters(corpus())[310_000:310_090]
    search = _Search(units, np.arange(90) > 0, model)
    starts = np.random.default_rng(0).permuted(np.tile(np.arange(26), (3, 1)), axis=1)
    keys, scores = search.climb(starts, 4)
    assert scores == pytest.approx(search.score(keys, 4), rel=1e-5)
    swaps, _ = search.swaps()
    for key, score in zip(keys, scores, strict=True):
        assert search.score(key[swaps], 4).max() <= score + 1e-3 * abs(score)


def test_texts_of_200_letters_are_solved_and_the_payload_with_them(prose):
    scene = Scene("novel", Modality.LANGUAGE, parts=(prose, ciphers.substitution()))
    channel = measure(play(ngram_climbing, scene, seed=0, game_params={"length": 200, "rounds": 4}))
    assert channel.metrics["solved"]["value"] >= 0.75
    assert channel.metrics["text_accuracy"]["value"] > 0.99
    assert channel.bits.value > 2.5


def test_a_text_shorter_than_the_unicity_distance_is_read_by_nobody(prose):
    scene = Scene("novel", Modality.LANGUAGE, parts=(prose, ciphers.substitution()))
    size = {"length": 12, "rounds": 8}
    channel = measure(play(ngram_climbing, scene, seed=0, params={"kicks": 2}, game_params=size))
    assert channel.metrics["solved"]["value"] == 0
    assert channel.bits.lower == 0


@pytest.mark.parametrize(("period", "length"), [(1, 60), (5, 90), (11, 250)])
def test_a_vigenere_key_of_unknown_length_is_read(period, length, prose):
    scene = Scene("novel", Modality.LANGUAGE, parts=(prose, ciphers.vigenere(period)))
    size, light = {"length": length, "rounds": 6}, {"longest": 14, "starts": 4, "kicks": 4}
    trials = play(periodic_climbing, scene, seed=0, params=light, game_params=size)
    channel = measure(trials)
    assert channel.metrics["solved"]["value"] == 1
    assert (trials.guess == trials.truth).all()


def test_shifts_are_drawn_by_the_law_of_pairs_of_letters(prose):
    """Against the posterior of every key of two letters, summed by hand."""
    model = ngram_model.learn(prose.public.x[0])
    rng = np.random.default_rng(0)
    units = (prose.public.x[0][100:107] + np.resize([3, 20], 7)) % 26
    natural = np.array([True, True, True, False, True, True, True])
    text = shift_search.Text(units, natural, model)
    one, two = model.logs[0], model.logs[1].reshape(26, 26)
    logs = np.zeros((26, 26))
    for a in range(26):
        for b in range(26):
            plain = (units - np.resize([a, b], 7)) % 26
            logs[a, b] = sum(two[plain[i], plain[i + 1]] for i in (0, 1, 4, 5))
            logs[a, b] += one[plain[0]] + one[plain[4]]
    law = np.exp(logs - logs.max())
    law /= law.sum()
    keys = text.drawn(2, 20_000, rng)
    drawn = np.zeros((26, 26))
    np.add.at(drawn, (keys[:, 0], keys[:, 1]), 1 / len(keys))
    assert np.abs(drawn - law).max() < 0.02
    assert 0.5 * np.abs(drawn - law).sum() < 0.08


def test_a_short_key_is_searched_among_all_and_a_change_of_a_letter_counts_its_runs(prose):
    model = ngram_model.learn(prose.public.x[0])
    rng = np.random.default_rng(1)
    units, natural = rng.integers(0, 26, 30), np.ones(30, dtype=bool)
    natural[10:14] = False
    text = shift_search.Text(units, natural, model)
    key, score = text.best(text.shortlist(2, 1, rng))
    keys = np.indices((26, 26)).reshape(2, -1).T
    assert score == text.score(keys).max() and score == text.score(key[None])[0]
    # What climbing compares, the runs with a letter of the key in them, is the whole difference.
    climbed, scores = text.climbed(rng.integers(0, 26, (3, 5)))
    for k, one in enumerate(climbed):
        near = np.repeat(one[None], 5 * 26, 0)
        near[np.arange(5 * 26), np.repeat(np.arange(5), 26)] = np.tile(np.arange(26), 5)
        assert text.score(near).max() <= scores[k] + 1e-6


def test_of_a_text_however_long_the_likeliest_short_key_is_scored(prose, monkeypatch):
    """A text of more letters than are scored in all still has its key of one letter."""
    monkeypatch.setattr(shift_search, "SCORED", 100)
    model = ngram_model.learn(prose.public.x[0])
    natural = np.ones(200, dtype=bool)
    text = shift_search.Text((prose.public.x[0][:200] + 7) % 26, natural, model)
    assert text.shortlist(1, 1, np.random.default_rng(0)).tolist() == [[7]]


def test_drawn_keys_have_the_posterior_of_all_keys(prose):
    """Against every key of the three signs of a text, two of which follow a break."""
    model = ngram_model.learn(prose.public.x[0])
    units, linked = np.array([4, 9, 4, 2, 9]), np.array([False, True, True, False, True])
    one, two, three = (model.logs[k].reshape((26,) * (k + 1)) for k in range(3))
    a, b, c = np.indices((26, 26, 26))
    logs = one[a] + two[a, b] + three[a, b, a] + one[c] + two[c, b]
    law = np.where((a == b) | (b == c) | (a == c), 0, np.exp(logs))
    law /= law.sum()
    drawn = key_posterior.posterior(units, linked, model, 100_000, np.random.default_rng(0))
    for unit, axes in ((4, (1, 2)), (9, (0, 2)), (2, (0, 1))):
        assert 0.5 * np.abs(drawn[unit] - law.sum(axes)).sum() < 0.02
    # A sign that does not occur is each letter that no other sign is, alike.
    free = np.ones(26)
    for axes in ((1, 2), (0, 2), (0, 1)):
        free -= law.sum(axes)
    assert np.abs(drawn[0] - free / 23).max() < 0.001
    assert drawn.sum(1) == pytest.approx(np.ones(26))


def test_a_text_of_ten_letters_says_a_little_of_each_letter(prose):
    scene = Scene("novel", Modality.LANGUAGE, parts=(prose, ciphers.substitution()))
    size = {"length": 10, "rounds": 60, "payload": 104}
    few = {"particles": 1000}
    read = measure(play(key_sampling, scene, seed=0, params=few, game_params=size), redraws=1)
    assert read.bits.lower > 0 and read.bits.value < 0.2
    pad = scene.with_part(one_time_pad(Modality.LANGUAGE))
    none = measure(play(key_sampling, pad, seed=0, params=few, game_params=size), redraws=1)
    assert none.bits.lower == 0 and none.high < 0.01
