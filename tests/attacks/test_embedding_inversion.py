"""What reads stored embeddings, where the right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_data.inversion.caption_inversion import caption_inversion
from hartley.attacks.model_to_data.inversion.embedding_decoder import embedding_decoder
from hartley.attacks.model_to_data.inversion.embedding_search import embedding_search
from hartley.attacks.model_to_data.inversion.embedding_words import embedding_words
from hartley.attacks.model_to_data.inversion.speaker_inversion import speaker_inversion
from hartley.attacks.model_to_data.membership.pair_similarity import pair_similarity
from hartley.channel.measure import measure
from hartley.core import (
    Access,
    Data,
    Modality,
    Model,
    Output,
    Scene,
    Settings,
)
from hartley.core.errors import UsageError
from hartley.engine.run.play import play
from hartley.games.inversion.embedding_inversion import StoredEmbeddings, live
from hartley.games.inversion.matching import Spectra, Texts
from hartley.games.membership.membership import live as members

TWO = Settings({"embedding_inversion": 2})


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _blurred(scene, scale: float):
    """The same wire, with noise on what is stored."""
    store = scene.part(StoredEmbeddings)

    def keep(made):
        noise = np.random.default_rng(len(made)).standard_normal(made.shape)
        return made + scale * made.std() * noise

    return scene.with_part(replace(store, keep=(keep,)))


def test_corrections_find_words_that_the_first_guess_lacked() -> None:
    scene = _blurred(live(Modality.LANGUAGE, _rng()), 0.3)
    plain = play(embedding_decoder, scene, seed=0, params={"corrections": 0}).metrics
    corrected = play(embedding_decoder, scene, seed=0, params={"corrections": 3}).metrics
    words = play(embedding_words, scene, seed=0).metrics
    assert corrected["token_f1"] >= max(plain["token_f1"], words["token_f1"])
    assert corrected["token_f1"] > 0.9
    assert corrected["identified_without_target"] < 0.15


def test_the_less_is_stored_the_less_is_read() -> None:
    for attack, modality in (
        (embedding_words, Modality.LANGUAGE),
        (speaker_inversion, Modality.AUDIO),
        (caption_inversion, Modality.PAIRED),
    ):
        scene = live(modality, _rng())
        bits = [
            measure(play(attack, _blurred(scene, scale), seed=0)).bits.value
            for scale in (0.0, 1.0, 8.0)
        ]
        assert bits[0] > bits[1] >= bits[2] and bits[2] < 0.5, (attack.name, bits)


def test_a_kernel_tells_what_a_line_cannot() -> None:
    """All bands but one follow the embedding in waves, which no straight line fits."""
    u = _rng().uniform(-1, 1, 300)
    bands = np.stack([(u + 1) / 2, *(0.5 + 0.4 * np.sin(4 * u + k) for k in range(3))], 1)
    swing = 0.02 * (1.5 + np.sin(3 * u[:, None] + np.arange(4)))
    clips = bands[:, None, :, None] + swing[:, None, :, None] * np.sin(np.arange(8))
    x = np.clip(clips, 0, 1).astype(np.float32)
    secret, public = (Data("clips", Modality.AUDIO, part) for part in (x[:100], x[100:]))
    ear = Model(
        "ear",
        Modality.AUDIO,
        lambda a: np.stack([a[:, 0, 0].mean(1), np.ones(len(a))], 1),
        Output.EMBEDDINGS,
        2,
        offers=Access.EMBEDDINGS,
    )
    store = StoredEmbeddings(secret, public, Spectra(secret.x), number=32, targets=24)
    scene = Scene(
        "waves",
        Modality.AUDIO,
        model=ear,
        parts=(store,),
        settings=Settings({"embedding_inversion": 2}),
    )
    straight = play(speaker_inversion, scene, seed=0, params={"curved": False}).metrics
    curved = play(speaker_inversion, scene, seed=0).metrics
    assert curved["distortion"] < 0.5 * straight["distortion"]
    assert curved["identified"] > straight["identified"]


def test_pictures_that_look_alike_tell_words_where_captions_lie_anywhere() -> None:
    """The text tower is noise: only the captions of like pictures say what a picture shows."""
    rng = _rng()
    kinds = rng.standard_normal((32, 24))
    kind = np.concatenate([np.arange(32), rng.integers(0, 32, 300)])
    shown = kinds[kind] + 0.3 * rng.standard_normal((len(kind), 24))
    captions = np.concatenate(
        [4 * kind[:, None] + np.arange(4), rng.integers(128, 160, (332, 2))], 1
    )
    x = np.concatenate([shown, rng.standard_normal((len(kind), 24))], 1).astype(np.float32)

    def part(rows: slice) -> Data:
        facts = {"captions": captions[rows], "split": 24}
        return Data("pairs", Modality.PAIRED, x[rows], facts=facts)

    towers = Model(
        "towers",
        Modality.PAIRED,
        np.asarray,
        Output.EMBEDDINGS,
        48,
        offers=Access.EMBEDDINGS,
    )
    store = StoredEmbeddings(
        part(slice(32)), part(slice(32, None)), Texts(captions[:32]), (0, 24), number=32
    )
    scene = Scene(
        "kinds",
        Modality.PAIRED,
        model=towers,
        parts=(store,),
        settings=Settings({"embedding_inversion": 2}),
    )
    found = play(caption_inversion, scene, seed=0).metrics
    assert found["identified"] > 0.9 and found["identified_without_target"] < 0.15


def test_words_alone_read_more_than_a_regression_and_correction_more_than_both() -> None:
    scene = _blurred(live(Modality.LANGUAGE, _rng()), 0.6)
    once = play(embedding_search, scene, seed=0, params={"corrections": 0})
    again = play(embedding_search, scene, seed=0)
    assert again.metrics["token_f1"] >= once.metrics["token_f1"] > 0.6
    assert again.metrics["identified_without_target"] < 0.15
    asked = [one.spec.uses for one in (once, again)]
    assert asked[1] - asked[0] == 2 * 24 * 4 * 24, "every change is a question that is counted"


@pytest.mark.parametrize("variant", ["plain", "augmented", "weak"])
def test_pairs_that_were_trained_on_are_found(variant: str) -> None:
    scene = members(Modality.PAIRED, _rng())
    heard = measure(play(pair_similarity, scene, seed=0, params={"variant": variant}))
    assert heard.metrics["auc"]["value"] > 0.95


def test_an_unknown_variant_is_named() -> None:
    scene = members(Modality.PAIRED, _rng())
    with pytest.raises(UsageError, match="variant must be plain, augmented or weak"):
        play(pair_similarity, scene, seed=0, params={"variant": "strong"})
