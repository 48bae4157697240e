"""The scene of marked texts: what owners publish as text they read again as text."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark.word_substitution import word_substitution
from hartley.core.errors import UsageError
from hartley.engine.run.play import deal, play
from hartley.kit.item_quality import ItemQuality
from hartley.kit.marker import Marker, presence
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
