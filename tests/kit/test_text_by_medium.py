"""Texts as pictures and as speech, against other ways to know what comes out."""

from __future__ import annotations

import base64
import io
import json
import struct
from dataclasses import fields
from functools import lru_cache
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hartley.core.errors import UsageError
from hartley.infotheory.channel_matrix import mutual_information
from hartley.kit.media import drawn_text, spoken_text
from hartley.kit.media.drawn_text import Drawing, PictureWear
from hartley.kit.media.spoken_text import RATE, Speaking, SpeechWear
from hartley.kit.media.text_by_medium import (
    LETTERS,
    VALUES,
    Wear,
    as_text,
    bits_a_character,
    character_error_rate,
    distance,
    from_text,
    read,
    written,
)

SHORT = st.text(alphabet="abc", max_size=7)


@given(SHORT, SHORT)
def test_distance_is_the_fewest_edits(one: str, other: str) -> None:
    @lru_cache(None)
    def edits(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        change = edits(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(edits(i - 1, j) + 1, edits(i, j - 1) + 1, change)

    assert distance(one, other) == edits(len(one), len(other))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2, 0.7, 1 - 1 / LETTERS])
def test_bits_a_character_are_those_of_letters_misread_alike(rate: float) -> None:
    # Of all channels with this error rate the one that misreads uniformly carries least (Fano).
    channel = np.full((LETTERS, LETTERS), rate / (LETTERS - 1))
    np.fill_diagonal(channel, 1 - rate)
    assert bits_a_character(rate) == pytest.approx(mutual_information(channel), abs=1e-9)


def test_error_rate_is_a_share() -> None:
    assert character_error_rate("vault", "vault") == 0
    assert character_error_rate("vault", "fault") == pytest.approx(0.2)
    assert character_error_rate("ab", "something else") == 1
    assert character_error_rate("", "") == 0 and character_error_rate("", "a") == 1


def test_a_picture_has_a_line_of_ink_for_each_line_of_text() -> None:
    picture = drawn_text.draw("one two\nthree\n\nfour", Drawing(20))
    assert len(drawn_text.lines(picture)) == 3
    long = drawn_text.draw("w" * 400, Drawing(20))
    assert long.shape[1] <= drawn_text.SIDE and len(drawn_text.lines(long)) > 5
    assert drawn_text.lines(drawn_text.draw("", Drawing())) == []
    assert drawn_text.lines(np.full((40, 40), 255, np.uint8)) == []


def test_wear_of_a_picture_repeats_and_shrinks_what_is_too_large() -> None:
    picture = drawn_text.draw("What is it?", Drawing(24))
    same = drawn_text.worn(picture, PictureWear(), 0)
    assert np.array_equal(same, picture)
    wear = PictureWear(0.5, 10, 50)
    one, again, other = (drawn_text.worn(picture, wear, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    noise = drawn_text.worn(np.full((200, 200), 128), PictureWear(noise=10), 3).astype(float)
    assert noise.std() == pytest.approx(10, rel=0.05)
    assert max(drawn_text.worn(np.full((2000, 40), 255), PictureWear(), 0).shape) == drawn_text.SIDE


def test_recordings_are_cut_at_pauses_and_worn_by_the_declared_noise() -> None:
    tone = np.sin(np.arange(RATE // 2) * 0.3).astype(np.float32)
    pause = np.zeros(RATE // 2, np.float32)
    parts = [*spoken_text.passages(np.concatenate([pause, tone, pause, tone, pause]))]
    assert [len(part) for part in parts] == pytest.approx([len(tone)] * 2, abs=4)
    assert [*spoken_text.passages(pause)] == [] == [*spoken_text.passages(pause[:0])]
    worn = spoken_text.worn(tone, SpeechWear(snr=20), 1)
    ratio = (tone**2).mean() / ((worn - tone) ** 2).mean()
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.2)
    low = np.sin(np.arange(RATE) * 2 * np.pi * 50 / RATE)
    assert spoken_text.worn(low, SpeechWear(telephone=True), 1).std() < 0.05


def test_a_recording_comes_back_from_its_file_at_any_rate() -> None:
    tone = (0.5 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)
    assert np.allclose(spoken_text.from_file(spoken_text.flac(tone)), tone, atol=1e-3)
    import soundfile

    stored = io.BytesIO()
    soundfile.write(stored, np.stack([tone, tone], 1), 8000, format="WAV")
    assert len(spoken_text.from_file(stored.getvalue())) == 2 * RATE


def test_files_that_are_not_what_they_say_are_refused() -> None:
    readers = {"picture": lambda grey: "read", "speech": lambda wave: "heard"}
    good = written("Hello.", Drawing())
    assert read(good, readers, Wear()) == "read"
    for uri, message in (
        ("Hello.", "must be a data URI of a picture or speech"),
        (good.replace("image", "text"), "must be a data URI"),
        ("data:image/png;base64,###", "must be written in base64"),
        ("data:image/png;base64," + base64.b64encode(b"no picture").decode(), "must be a file"),
        ("data:audio/flac;base64," + base64.b64encode(b"no sound").decode(), "must be a sound"),
    ):
        with pytest.raises(UsageError, match=message):
            read(uri, readers, Wear())
    with pytest.raises(UsageError, match="must be a data URI of a picture, got"):
        read(good.replace("image", "audio"), {"picture": readers["picture"]}, Wear())


def test_files_that_would_grow_too_large_are_refused_before_they_are_decoded(monkeypatch) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    with pytest.raises(UsageError, match=r"Pillow reads, got .* decompression bomb"):
        drawn_text.from_file(bomb)
    import soundfile

    silence = spoken_text.flac(np.zeros(61 * RATE, np.float32))
    assert len(silence) < 20_000
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(UsageError, match="must be at most 60 seconds, got 61"):
        spoken_text.from_file(silence)


def test_ways_come_back_from_text_values() -> None:
    for way in (Drawing(24, 1, 8), Speaking("en-gb-x-rp", 110, 8)):
        assert from_text(as_text(way)) == way
    for wrong in ("{}", "[3]", "no", '{"medium": "smoke"}', '{"medium": "picture", "ink": 3}'):
        with pytest.raises(UsageError, match="must have a medium"):
            from_text(wrong)


def test_every_value_of_a_way_has_its_limits() -> None:
    for way in (Drawing, Speaking):
        assert [value.name for value in VALUES[way]] == [field.name for field in fields(way)]
        assert way() == way(*(value.default for value in VALUES[way]))
    for values, message in (
        ({"size": 0}, "a way of picture: size must be from 6 to 128, got 0"),
        ({"size": 100_000}, "size must be from 6 to 128, got 100000"),
        ({"size": 16.5}, "size must be a whole number from 6 to 128, got 16.5"),
        ({"letters": -3}, "letters must be from 0 to 128, got -3"),
        ({"words": True}, "words must be a whole number from 0 to 256, got True"),
        ({"medium": "speech", "speed": 10**9}, "speech: speed must be from 80 to 450"),
        ({"medium": "speech", "gap": "8"}, "gap must be a whole number from 0 to 100, got '8'"),
        ({"medium": "speech", "voice": "../../etc"}, "voice must be the name"),
        ({"medium": "speech", "voice": "a" * 40}, "voice must be the name"),
        ({"medium": "speech", "voice": 3}, "voice must be a string, got 3"),
    ):
        with pytest.raises(UsageError, match=message):
            from_text(json.dumps({"medium": "picture", **values}))


def test_the_largest_way_is_drawn_in_a_picture_that_may_be_handed_in() -> None:
    most = Drawing(*(int(value.range.high) for value in VALUES[Drawing]))
    picture = drawn_text.draw("What is the pass phrase of the amber vault?", most)
    assert picture.size <= 4096**2 and picture.shape[1] <= drawn_text.SIDE


def test_sentences_are_spoken_one_by_one() -> None:
    parts = ["Who?", "Me:", "yes!", "--- And", "you."]
    assert spoken_text.sentences("Who? Me: yes!  --- And\nyou. ...") == parts


def test_espeak_speaks_longer_where_it_is_slower() -> None:
    pytest.importorskip("espeakng_loader")
    fast, slow = (spoken_text.speak("The vault.", Speaking(speed=s)) for s in (180, 90))
    assert len(slow) > 1.3 * len(fast) and np.abs(fast).max() > 0.1
    with pytest.raises(UsageError, match="voice must be one of espeak-ng"):
        spoken_text.speak("The vault.", Speaking("klingon-x-none"))
