"""A watermark of the user's own: folders of files, functions and commands, and what is refused."""

import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from hartley.channel.measure import measure
from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.data.user_items import read_items, read_picture, read_sound
from hartley.engine.build_scene import build
from hartley.engine.plan.own_scene import own_scene
from hartley.engine.run.play import play
from hartley.targets import user_marker

TOOLS = """
import sys
import time
import numpy as np


def places(size, key, m):
    rng = np.random.default_rng(key)
    return rng.choice(size, m, replace=False), rng.integers(0, 2, m)


def mark(picture, message, key):
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    out = picture.copy().reshape(-1)
    where, mask = places(out.size, key, len(message))
    out[where] = (out[where] & 254) | (message ^ mask)
    return out.reshape(picture.shape)


def read(picture, key):
    where, mask = places(picture.size, key, 16)
    return (picture.reshape(-1)[where] & 1) ^ mask


def say(text, key):
    return text + " "


def hear(text, key):
    return text.endswith(" ")


def late(text):
    raise RuntimeError("no licence")


def wrong(picture, key):
    return [1, 0, 1]


def chats(picture, key):
    return "certainly"


def halves(picture, message, key):
    return picture[::2]


def hangs(picture, key):
    time.sleep(3600)


if __name__ == "__main__":
    from PIL import Image
    if sys.argv[1] == "mark":
        picture = np.asarray(Image.open(sys.argv[2]))
        message = np.array([int(c) for c in sys.argv[4]])
        Image.fromarray(mark(picture, message, int(sys.argv[5]))).save(sys.argv[3])
    else:
        picture = np.asarray(Image.open(sys.argv[2]))
        print("".join(map(str, read(picture, int(sys.argv[3])))))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    name = f"tools_{zlib.crc32(str(tmp_path).encode())}.py"
    (tmp_path / name).write_text(TOOLS)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name[:-3], None)


def clouds(side=48, seed=0):
    rng = np.random.default_rng(seed)
    grey = rng.integers(60, 190, (6, 6, 3)).repeat(side // 6, 0).repeat(side // 6, 1)
    return grey.astype(np.uint8)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(6):
        Image.fromarray(clouds(48 if k % 2 else 60, k)).save(folder / f"{k}.png")
    return folder


def test_a_marker_and_a_detector_that_are_functions(tools, pictures):
    name, params = own_scene(
        {
            "items": str(pictures),
            "marker": f"{tools}:mark",
            "detector": f"{tools}:read",
            "message_bits": 16,
        }
    )
    assert name == "own_marks"
    scene = build(name, params)
    assert scene.modality is Modality.VISION
    assert scene.resumable
    size = {"rounds": 12}
    trials = play("resampling", scene, seed=0, game_params=size)
    assert trials.metrics["ber_before"] == 0
    assert trials.metrics["ber_after"] > 0.2
    assert measure(trials, redraws=1).bits.value > 0.1
    forged = play("residual_copy", scene, seed=0, game_params=size)
    assert forged.metrics["mark_reads"] == 1


def test_commands_mark_and_read(tools, pictures):
    run = f"{sys.executable} {tools}"
    scene = build(
        "own_marks",
        {
            "items": str(pictures),
            "marker": f"{run} mark {{in}} {{out}} {{message}} {{key}}",
            "detector": f"{run} read {{in}} {{key}}",
            "message_bits": 16,
        },
    )
    assert not scene.resumable
    # Each call starts Python anew.
    trials = play("resampling", scene, seed=0, game_params={"rounds": 2})
    assert trials.metrics["ber_before"] == 0


def test_texts_that_are_marked_already_are_asked_about_presence(tools, tmp_path):
    for folder, end in (("plain", ""), ("done", " ")):
        (tmp_path / folder).mkdir()
        for k in range(4):
            (tmp_path / folder / f"{k}.txt").write_text(f"a text of {k} words{end}")
    scene = build("own_marks", {"items": "plain", "marked": "done", "detector": f"{tools}:hear"})
    assert scene.modality is Modality.LANGUAGE
    from hartley.games.watermark.watermark import watermark

    deal = watermark(scene, np.random.default_rng(0), rounds=20)
    for one in deal.rounds:
        assert one.view.data.x[0].endswith(" ") == bool(one.truth[0])
        assert one.view.brief.detector.query(one.view.data.x).argmax(1) == one.truth


WRONG = {
    "no detector": ({"items": "pictures", "marker": "T:mark"}, "--detector must be a function"),
    "both": (
        {"items": "pictures", "marker": "T:mark", "marked": "p", "detector": "T:read"},
        "both",
    ),
    "no items": ({"marker": "T:mark", "detector": "T:read"}, "--items must be a folder"),
    "no folder": (
        {"items": "gone", "marker": "T:mark", "detector": "T:read"},
        "--items must be a folder",
    ),
    "no function": (
        {"items": "pictures", "marker": "T:marc", "detector": "T:read"},
        "has no 'marc'; did you mean",
    ),
    "other arguments": (
        {"items": "pictures", "marker": "T:places", "detector": "T:read"},
        "function of an item, and of message and key",
    ),
    "it fails": (
        {"items": "pictures", "marker": "T:late", "detector": "T:read"},
        r"--marker .*late failed: RuntimeError: no licence \(tools_\d+.py, line \d+\)",
    ),
    "too few bits": (
        {"items": "pictures", "marker": "T:mark", "detector": "T:wrong", "message_bits": 16},
        "must return 16 bits",
    ),
    "words for bits": (
        {"items": "pictures", "marker": "T:mark", "detector": "T:chats", "message_bits": 16},
        "must return 16 bits, as --message-bits says, got 'certainly'",
    ),
    "another size": (
        {"items": "pictures", "marker": "T:halves", "detector": "T:read", "message_bits": 16},
        r"must return an item of shape \(60, 60, 3\), got \(30, 60, 3\)",
    ),
    "not a verdict": (
        {"items": "pictures", "marker": "T:mark", "detector": "T:wrong"},
        "must return whether an item is marked",
    ),
    "no place": (
        {"items": "pictures", "marker": "tool {in}", "detector": "T:read"},
        "a command with {in} {out}",
    ),
    "no command": (
        {"items": "pictures", "marker": "no-such-tool {in} {out}", "detector": "T:read"},
        "there is no command no-such-tool",
    ),
    "it ends badly": (
        {"items": "pictures", "marker": "false {in} {out}", "detector": "T:read"},
        "false ended with 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_user_gets_wrong_is_one_line(case, tools, pictures):
    params, message = WRONG[case]
    params = {
        k: v.replace("T:", f"{tools}:") if k != "message_bits" else v for k, v in params.items()
    }
    with pytest.raises(UsageError, match=message) as caught:
        build("own_marks", params)
    assert "\n" not in str(caught.value)


def test_a_function_that_hangs_is_one_line(tools, pictures, monkeypatch):
    monkeypatch.setattr(user_marker, "SECONDS", 0.2)
    params = {"items": "pictures", "marker": f"{tools}:mark", "detector": f"{tools}:hangs"}
    with pytest.raises(UsageError, match=r"--detector .*hangs took over 0.2 s"):
        build("own_marks", {**params, "message_bits": 16})


def bomb():
    """The first bytes of a PNG that states 60,000 × 60,000 pixels."""
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    crc = zlib.crc32(head).to_bytes(4, "big")
    end = b"IEND"
    body = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [(13, head), (len(body) - 4, body), (0, end)]
    out = b"\x89PNG\r\n\x1a\n"
    for size, chunk in chunks:
        out += size.to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return out if crc else b""


def test_grey_deep_and_transparent_pictures_are_read_as_they_look(tmp_path):
    levels = np.arange(32 * 32).reshape(32, 32)
    Image.fromarray((levels // 4).astype(np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray((levels * 64).astype(np.uint16)).save(tmp_path / "deep.png")
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[..., 0] = 200
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    grey, deep, clear = (read_picture(tmp_path / f"{n}.png") for n in ("grey", "deep", "clear"))
    assert np.allclose(grey[1], levels // 4 / 255)
    assert np.allclose(deep[2], levels * 64 / 65535, atol=1e-6)
    assert clear.shape == (3, 32, 32)
    assert np.allclose(clear[0], 200 / 255)


def test_pictures_that_cannot_be_marked_are_one_line_and_counted(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    Image.fromarray(clouds()).save(folder / "0.png")
    assert len(read_items(folder, "--items").items) == 1
    Image.fromarray(clouds(12)).save(folder / "a.png")
    (folder / "b.png").write_bytes(bomb())
    (folder / "c.png").write_bytes(b"no picture")
    whole = (folder / "0.png").read_bytes()
    (folder / "d.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"a.png must have sides .* \(3 more of 5 files\)"):
        read_items(folder, "--items")
    for name, words in (("b", "at most 16,777,216 pixels"), ("c", "whole"), ("d", "whole picture")):
        with pytest.raises(UsageError, match=words) as caught:
            read_picture(folder / f"{name}.png")
        assert "\n" not in str(caught.value)


def test_sounds_that_are_cut_off_and_texts_that_are_not_utf8_are_refused(tmp_path):
    wave = (8000 * np.sin(np.arange(16000) / 20)).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 16000, wave)
    samples, rate = read_sound(tmp_path / "a.wav")
    assert rate == 16000
    assert len(samples) == 16000
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:9000])
    with pytest.raises(UsageError, match=r"got \d+ of 16000 samples: it is cut off"):
        read_sound(tmp_path / "a.wav")
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "a.txt").write_bytes("Grüße".encode("latin-1"))
    (folder / "b.txt").write_text(" ")
    with pytest.raises(UsageError, match=r"a.txt must be text in UTF-8, .* \(1 more of 2 files\)"):
        read_items(folder, "--items")
    Image.fromarray(clouds()).save(folder / "c.png")
    with pytest.raises(UsageError, match=r"of one kind, got \.png and \.txt"):
        read_items(folder, "--items")
