"""The scene of marked texts: what owners publish as text they read again as text."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark.window_breaking import window_breaking
from hartley.attacks.data_to_data.watermark.word_substitution import word_substitution
from hartley.core.errors import UsageError
from hartley.engine.run.play import deal, play
from hartley.kit.item_quality import ItemQuality, holds
from hartley.kit.marker import Marker, presence
from hartley.models.text_quality import by_meaning
from hartley.scenes.prose import MARKS, prose

TOKENS = 80
# An untrained network draws almost uniformly: most tokens come back otherwise then.
SMALL = {"epochs": 0, "tokens": TOKENS, "unmarked": 4, "temperature": 1.0}


@pytest.fixture(scope="module")
def markers():
    return {name: prose(mark=name, **SMALL).find(Marker) for name in MARKS}


@pytest.mark.parametrize("name", MARKS)
def test_what_is_published_as_text_is_read_as_text(markers, name):
    marker, rng = markers[name], np.random.default_rng(0)
    m = marker.bits and 8
    keys = [11, None, 13, 14]
    messages = [rng.integers(0, 2, m) for _ in keys]
    prompts = ["She had been", "He said", "Anne", "It was a"]
    texts = marker.embed_all(prompts, messages, keys, rng)
    assert all(isinstance(text, str) for text in texts)
    if m:
        right = [np.mean(marker.decode(texts[k], keys[k], m) == messages[k]) for k in (0, 2, 3)]
        assert np.mean(right) > 0.8
        assert marker.accept(texts[1], 11, m) is None
        assert marker.chance(m) <= 1e-3
        alone = presence(marker)
        found = alone.verify(alone.embed(prompts[0], messages[0], 11, rng), 11, [])
        assert found.marked()
        assert not alone.verify(texts[1], 11, []).marked()
    else:
        assert sum(marker.detect(texts[k], keys[k]).marked() for k in (0, 2, 3)) >= 2
        assert not marker.detect(texts[1], 11).marked()
        short = marker.detect("Oh", 11)
        assert short.marked() is None and short.undecided.startswith("undecided at ")
        assert marker.detect("", 11).undecided == "undecided at 0 tokens"
    with pytest.raises(UsageError, match="at least one token"):
        marker.embed("", messages[0], 11, rng)


def test_a_removal_is_dealt_played_and_judged():
    scene = prose(mark="kgw", owners=0, **SMALL)
    size = {"rounds": 6}
    trials = play(
        word_substitution, scene, seed=0, dealt=deal(word_substitution, scene, seed=0, params=size)
    )
    assert np.nanmean(trials.metrics["detected_before"]) == 1.0
    assert np.nanmean(trials.metrics["false_alarm_before"]) == 0.0
    assert np.nanmean(trials.metrics["evidence_after"]) < np.nanmean(
        trials.metrics["evidence_before"]
    )
    assert np.mean(trials.metrics["violated"]) == 0.0


def test_breaking_windows_takes_more_than_as_many_edits_at_random_places():
    scene = prose(mark="exponential", owners=0, **SMALL)
    dealt = deal(window_breaking, scene, seed=0, params={"rounds": 4, "floor": 0})
    broken = play(window_breaking, scene, seed=0, dealt=dealt).metrics
    half = {"share": 0.5}
    random = play(word_substitution, scene, seed=0, dealt=dealt, params=half).metrics
    assert np.nanmean(broken["evidence_before"]) > 100
    assert np.nanmean(broken["evidence_after"]) < 8 < np.nanmean(random["evidence_after"])


@pytest.mark.pack
def test_meaning_and_fluency_are_held_to_the_published_text():
    quality = prose(similarity="meaning", **SMALL).find(ItemQuality)
    published = "She walked along the shore with her sister, and was happy."
    same = quality.figures(published, published)
    assert same["similarity"] == pytest.approx(1) and same["fluency"] == 0
    near = quality.figures("She went along the beach with her sister, and was glad.", published)
    far = quality.figures("The ship's cannon cost ninety pounds in all.", published)
    assert far["similarity"] < 0.5 < near["similarity"]
    assert quality.distortion(published, published) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="a text, got list"):
        quality.read([1, 2], published)


@pytest.mark.pack
def test_what_is_added_to_a_text_is_a_change_wherever_it_stands():
    scene = prose(similarity="meaning", **{**SMALL, "tokens": 200, "unmarked": 30})
    quality = scene.find(ItemQuality)
    human = scene.extra["unmarked"].x[30:].tolist()
    published, rest = human[0], human[1:]
    same = quality.figures(published, published)
    assert same == {"similarity": pytest.approx(1), "fluency": 0.0, "same_length": 1.0}
    floors = quality.floors(-1)
    assert floors["same_length"] == 0.5
    twenty = " ".join(rest[:20])
    for candidate in (
        f"{published} {twenty}",
        f"{twenty} {published}",
        published[:30],
    ):
        figures = quality.figures(candidate, published)
        assert figures["same_length"] < 0.1 and not holds(figures, floors)
    # Of a text between the two lengths, each part counts: not the first 254 pieces alone.
    cannon = "The ship's cannon cost ninety pounds in all. " * 16
    alone = quality.figures(cannon, published)["similarity"]
    for candidate in (f"{published} {published} {cannon}", f"{cannon} {published} {published}"):
        figures = quality.figures(candidate, f"{published} {published}")
        assert alone < figures["similarity"] < 0.9 and figures["same_length"] > 0.5
    # A forger's text with a passage of a victim in it, among ten times as many other words.
    forging, beside = quality.floors(-1, forging=True), quality.beside(published, [rest[20]])
    for candidate in (f"{published} {twenty} {rest[20]}", f"{published} {rest[20]}"):
        assert beside(candidate)["own_words"] < 0.2 < forging["own_words"]


@pytest.mark.pack
def test_fluency_is_of_all_of_a_text_and_not_of_what_a_model_reads_at_once():
    scene = prose(**SMALL)
    codec = scene.model.codec
    writer = SimpleNamespace(facts={"context": 256}, score=lambda rows: -rows[:, 1:] / 1000.0)
    quality = by_meaning(writer, codec)
    published = " ".join(scene.extra["unmarked"].x[4:].tolist())
    tail = "the " * 200
    ids = [np.asarray(codec.encode([text]))[0] for text in (published, f"{published} {tail}")]
    assert min(map(len, ids)) > 256
    means = [np.mean(-row / 1000.0) for row in ids]
    fluency = quality.figures(f"{published} {tail}", published)["fluency"]
    # The first token of a window has no context, and does not count.
    assert fluency == pytest.approx(means[1] - means[0], abs=0.01) and abs(fluency) > 0.05
