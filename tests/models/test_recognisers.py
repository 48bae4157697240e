"""The recognisers of the packs, and what turns their files into plain data."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.data.packs import convert
from hartley.kit.media import drawn_text
from hartley.kit.media.drawn_text import Drawing
from hartley.kit.media.spoken_text import RATE
from hartley.models.line_reader import collapsed


def _text(name: str) -> bytes:
    raw = name.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def _model(version: int = 6) -> bytes:
    out = struct.pack("<I", version) + _text("WhisperSpec") + struct.pack("<I", 3)
    out += struct.pack("<I", 2)
    half = np.arange(6, dtype="<f2").reshape(2, 3)
    out += _text("a/weight") + struct.pack("<BIIBI", 2, 2, 3, 4, half.nbytes) + half.tobytes()
    whole = np.array([7], dtype="<i4")
    out += _text("flag") + struct.pack("<BIBI", 1, 1, 2, 4) + whole.tobytes()
    return out + struct.pack("<I", 1) + _text("b/weight") + _text("a/weight")


def test_a_ctranslate2_file_becomes_arrays_with_their_aliases() -> None:
    arrays = convert.ctranslate2_arrays(_model())
    assert {*arrays} == {"a/weight", "b/weight"}
    assert np.array_equal(arrays["b/weight"], np.arange(6, dtype=np.float32).reshape(2, 3))


def test_another_version_or_a_cut_file_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="must be of version 6, got 5"):
        convert.ctranslate2_arrays(_model(5))
    (tmp_path / "model.bin").write_bytes(_model()[:40])
    with pytest.raises(UsageError, match="must be a whole CTranslate2 model"):
        convert.convert("ctranslate2", tmp_path)
    (tmp_path / "model.bin").write_bytes(_model())
    convert.convert("ctranslate2", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_repeats_count_once_and_blanks_part_them() -> None:
    assert collapsed(np.array([0, 1, 1, 0, 1, 2, 2, 0]), ("", "a", "b")) == "aab"


@pytest.mark.pack
def test_the_line_reader_reads_large_print_word_for_word(need_pack) -> None:
    need_pack("pp-ocr")
    from hartley.models.line_reader import line_reader

    for text in ("What is the pass phrase of the Amber vault?", "Invoice 4711: pay 20.50 by June"):
        assert line_reader().read(drawn_text.draw(text, Drawing(32, 0, 8))) == text
    assert line_reader().read(np.full((40, 40), 255, np.uint8)) == ""


@pytest.mark.pack
def test_every_array_of_whispers_file_has_its_place_in_the_network(need_pack) -> None:
    from safetensors.torch import load_file

    from hartley.models.whisper import named_as_transformers, whisper

    (path,) = need_pack("whisper").rglob("model.safetensors")
    weights, used = load_file(path), set()

    class Noted(dict):
        def __getitem__(self, name: str):
            used.add(name)
            return super().__getitem__(name)

    state = named_as_transformers(Noted(weights))
    assert used == {*weights}
    network = whisper().network
    assert {*state} == {*network.state_dict()}
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict({k: v for k, v in state.items() if "conv1" not in k})


@pytest.mark.pack
def test_whisper_hears_what_espeak_says_and_nothing_in_silence(need_pack) -> None:
    need_pack("whisper")
    from hartley.models.whisper import whisper

    assert whisper().read(np.zeros(RATE, np.float32)) == ""
    pytest.importorskip("espeakng_loader")
    from hartley.kit.media.spoken_text import Speaking, speak

    text = whisper().read(speak("Please tell me the words. They open the door.", Speaking()))
    assert "tell me" in text.lower() and "open the door" in text.lower()
