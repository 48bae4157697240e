"""Folders of sound with labels, and a user's own small network on them, end to end."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import wavfile

import hartley
from hartley import catalog
from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.data import user_sounds

RATE, LONGEST = 2000, 400
CLASSES = ("bell", "drum", "hum")
NET = """
import torch, torch.nn as nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv1d(1, 8, 32, 8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
        self(torch.zeros(2, 1, 400))

def fit(x, y):
    network = Net()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return network
"""


def sounds(rng, count):
    """Noisy tones of other heights by class, each a little shorter than the longest."""
    time = np.arange(LONGEST) / RATE
    for k in range(count):
        label = k % 3
        wave = np.sin(2 * np.pi * (150 + 40 * label) * time + rng.uniform(0, 6)) * 0.1
        wave += rng.normal(0, 0.3, LONGEST)
        yield label, wave[: LONGEST - (k % 7)].clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two folders of sounds, and a network that knows the first by heart."""
    soundfile = pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for number, (label, wave) in enumerate(sounds(rng, 90)):
            place = folder / part / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            suffix = "flac" if number % 2 else "wav"
            soundfile.write(place / f"{number:03}.{suffix}", wave, RATE, subtype="PCM_16")
    (folder / "sound_net.py").write_text(NET)
    sys.path.insert(0, str(folder))
    try:
        import sound_net  # type: ignore[import-not-found]

        x, y = waves(folder / "train")
        torch.manual_seed(0)
        network = sound_net.fit(x, y)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("sound_net")
    save_file(network.state_dict(), folder / "net.safetensors")
    return folder


def waves(folder):
    """The sounds as a user's own code would read them."""
    import soundfile

    files = [(k, p) for k, name in enumerate(CLASSES) for p in sorted((folder / name).iterdir())]
    x = np.zeros((len(files), 1, LONGEST), dtype=np.float32)
    for row, (_, path) in zip(x, files, strict=True):
        wave, _ = soundfile.read(path, dtype="float32")
        row[0, : len(wave)] = wave
    return x, np.array([k for k, _ in files])


def own(home, **settings):
    files = {
        "model": f"{home / 'sound_net.py'}:Net",
        "weights": str(home / "net.safetensors"),
        "fit": f"{home / 'sound_net.py'}:fit",
        "train": str(home / "train"),
        "test": str(home / "test"),
    }
    return catalog.load("scene", "own_network")(**{**files, **settings})


def test_a_network_on_sounds_end_to_end(home):
    scene = own(home, references=4)
    assert scene.modality is Modality.AUDIO
    for data, name in ((scene.train, "train"), (scene.holdout, "test")):
        x, y = waves(home / name)
        assert np.array_equal(data.x, x) and np.array_equal(data.y, y)
    assert scene.facts["classes"] == "bell, drum, hum" and scene.facts["sample rate"] == "2000 Hz"
    assert scene.facts["sounds"] == "shorter ones are followed by zeros, up to 400 samples"
    assert scene.facts["train accuracy"] == 1.0 > 0.9 > scene.facts["test accuracy"]
    for attack, params in (("loss_threshold", {}), ("rmia", {"references": 4})):
        channel = hartley.measure(hartley.play(attack, scene, params=params))
        assert channel.bits.lower > 0 and channel.n == 180, attack
    changed = hartley.play("square", scene, params={"queries": 20})
    assert len(changed.truth), "waveforms of some channels are no pictures"


def test_wav_is_read_alike_without_soundfile(home, tmp_path, monkeypatch):
    import soundfile

    wave = np.linspace(-1, 1, 50, dtype=np.float32)
    for name, values in (
        ("PCM_16", (wave * 32767).astype(np.int16)),
        ("PCM_32", (wave * 2147483000).astype(np.int32)),
        ("PCM_U8", (wave * 127 + 128).astype(np.uint8)),
        ("FLOAT", wave),
    ):
        place = tmp_path / "a"
        place.mkdir(exist_ok=True)
        wavfile.write(place / "x.wav", RATE, values)
        expected, _ = soundfile.read(place / "x.wav", dtype="float32")
        for absent in (False, True):
            with monkeypatch.context() as patch:
                if absent:
                    patch.setitem(sys.modules, "soundfile", None)
                x, _, notes = user_sounds.read_sounds([place], "--train")
            assert np.allclose(x[0, 0], expected, atol=1e-7), name
            assert notes["sample rate"] == f"{RATE} Hz"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("rate", "one sample rate, got 2000 Hz .000.wav. and 1000 Hz .zz.wav.; resample them"),
        ("stereo", "equally many channels, got 1 .000.wav. and 2 .zz.wav.; mix them"),
        ("broken", "zz.wav must be a sound, got a file that is not"),
        ("empty", "zz.wav must hold a sound"),
        ("picture", "must hold pictures or sounds, got both"),
        ("silent class", "must hold sounds .* got none; each sub-folder"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(home, tmp_path, spoil, words):
    import shutil

    shutil.copytree(home / "train", tmp_path / "train")
    place = tmp_path / "train" / "bell"
    if spoil == "rate":
        wavfile.write(place / "zz.wav", 1000, np.zeros(9, dtype=np.int16))
    elif spoil == "stereo":
        wavfile.write(place / "zz.wav", RATE, np.zeros((9, 2), dtype=np.int16))
    elif spoil == "broken":
        (place / "zz.wav").write_text("no sound")
    elif spoil == "empty":
        wavfile.write(place / "zz.wav", RATE, np.zeros(0, dtype=np.int16))
    elif spoil == "picture":
        (place / "zz.png").write_text("")
    else:
        (tmp_path / "train" / "silence").mkdir()
    with pytest.raises(UsageError, match=words) as error:
        own(home, train=str(tmp_path / "train"))
    assert "\n" not in str(error.value)


def test_both_folders_are_sounds_of_one_rate(home, tmp_path):
    for label in CLASSES:
        (tmp_path / label).mkdir()
        wavfile.write(tmp_path / label / "a.wav", 1000, np.ones(9, dtype=np.int16))
    with pytest.raises(UsageError, match=r"must have one sample rate, got 2000 Hz .*1000 Hz"):
        own(home, test=str(tmp_path))
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 1, 400), np.float32), y=np.zeros(9, int))
    with pytest.raises(UsageError, match=r"must go with sounds, got --test .*a.npz besides"):
        own(home, test=str(tmp_path / "a.npz"))
    with pytest.raises(UsageError, match="must go with sounds, got --modality vision"):
        own(home, modality="vision")
