"""Folders of language models that nobody means well with: one line each, at once, nothing runs."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from hartley.core.errors import UsageError
from hartley.targets.huggingface import huggingface

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
RUNS_CODE = "import pathlib\npathlib.Path(__file__).with_name('it_ran').touch()\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "good"
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(folder)
    return folder


def configured(**changes):
    """Return what changes a folder's configuration."""

    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def written(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


def weights(change):
    """Return what changes a folder's tensors."""

    def changed(folder):
        state = load_file(folder / WEIGHTS)
        state = {name: value for name, value in change(state).items() if value is not None}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    return changed


def indexed(place):
    """Return what replaces the weights by an index of which every tensor is in one place."""

    def change(folder):
        names = list(load_file(folder / WEIGHTS))
        shutil.move(folder / WEIGHTS, folder.parent / "outside.safetensors")
        (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, place)}))

    return change


def without_weights(then=lambda folder: None):
    def change(folder):
        (folder / WEIGHTS).unlink()
        then(folder)

    return change


def header(length, rest=b""):
    return lambda folder: written(
        WEIGHTS, struct.pack("<Q", length) + (rest or (folder / WEIGHTS).read_bytes()[8:])
    )(folder)


def asks_for_code(folder):
    configured(auto_map={"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.C"})(folder)
    (folder / "evil.py").write_text(RUNS_CODE)


def spoilt(name, value):
    return weights(lambda state: {**state, name: value(state[name])})


def with_nan(tensor):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = float("nan")
    return tensor


LAST = "transformer.ln_f.weight"
KINDS = {
    "no configuration": (
        lambda f: (f / "config.json").unlink(),
        "must hold config.json and safetensors, got none",
    ),
    "a list": (written("config.json", b"[]"), "must be a JSON object, got list"),
    "not JSON": (written("config.json", b"{"), "must be JSON"),
    "binary": (written("config.json", b"\xff\xfe\0"), "must be JSON"),
    "10^5 brackets": (written("config.json", b"[" * 10**5), "at most 64 levels deep"),
    "no type": (configured(model_type=None), "must name a model_type, got None"),
    "another type": (configured(model_type="nothing"), "causal language model"),
    "a word for a number": (configured(n_layer="x"), "n_layer"),
    "a size of nothing": (configured(n_embd=None), "n_embd"),
    "no heads": (configured(n_head=0), "causal language model"),
    "-1 layers": (configured(n_layer=-1), "n_layer that its weights hold, got -1"),
    "10^9 layers": (configured(n_layer=10**9), "got 1e+09 with 16 tensors"),
    "10^12 words": (configured(vocab_size=10**12), "for a network of 8e+12"),
    "10^9 wide": (configured(n_embd=10**9, n_head=1), "causal language model"),
    "10^10 positions": (configured(n_positions=10**10), "for a network of 8e+10"),
    "more words than rows": (configured(vocab_size=5000), "got 1416 numbers for a network of"),
    "a few words more": (configured(vocab_size=51), "got (50, 8)"),
    "code of its own": (asks_for_code, "must not ask for code of the folder"),
    "empty weights": (written(WEIGHTS, b""), "must be safetensors"),
    "cut": (lambda f: written(WEIGHTS, (f / WEIGHTS).read_bytes()[:-50])(f), "must be safetensors"),
    "a length of 2^62": (header(2**62), "must be safetensors"),
    "a header of brackets": (header(10, b"{" * 60), "must be safetensors"),
    "no tensors": (weights(lambda state: {}), "without a tensor"),
    "other tensors": (weights(lambda state: {"x": torch.zeros(2)}), "got 2 numbers"),
    "one is missing": (spoilt(LAST, lambda tensor: None), "got none for 'transformer.ln_f.weight'"),
    "another shape": (spoilt(LAST, lambda tensor: torch.zeros(9)), "got (9,)"),
    "NaN": (spoilt("transformer.wte.weight", with_nan), "must be finite, got NaN or inf"),
    "whole numbers": (spoilt(LAST, lambda tensor: tensor.to(torch.int8)), "floats, got I8"),
    "none": (without_weights(), "must hold model.safetensors"),
    "pickle": (without_weights(written("pytorch_model.bin", b"x")), "can run code"),
    "another pickle": (without_weights(written("model.pt", b"x")), "got model.pt, which can run"),
    "a folder of weights": (without_weights(lambda f: (f / WEIGHTS).mkdir()), "must be a file of"),
    "a loop": (without_weights(lambda f: (f / WEIGHTS).symlink_to(WEIGHTS)), "must be a file of"),
    "a device": (without_weights(lambda f: (f / WEIGHTS).symlink_to("/dev/zero")), "a file of"),
    "a pipe": (without_weights(lambda f: os.mkfifo(f / WEIGHTS)), "must be a file of"),
    "a place outside": (indexed("../outside.safetensors"), "in its own folder, got '../outside"),
    "a place from the root": (indexed("/outside.safetensors"), "in its own folder"),
    "itself": (indexed(INDEX), "in its own folder"),
    "absent": (indexed("gone.safetensors"), "gone.safetensors must be a file of safetensors"),
    "a number": (indexed(1), "in its own folder, got 1"),
    "a list for an index": (without_weights(written(INDEX, b"[]")), "must be a JSON object"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_states_what_it_does_not_hold_is_one_line(good, tmp_path, kind):
    change, words = KINDS[kind]
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    change(folder)
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(UsageError) as refusal:
        huggingface(folder)
    assert words in str(refusal.value), refusal.value
    assert len(str(refusal.value).splitlines()) == 1
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kB allocated"
    assert not (folder / "it_ran").exists()


@pytest.mark.parametrize("name", ["gone", "good/config.json", "a\0b", "x" * 300, "gpt2", ""])
def test_what_is_not_a_folder_is_one_line(good, monkeypatch, name):
    """Also a name that the library would look for in its own store of downloads."""
    monkeypatch.chdir(good.parent)
    with pytest.raises(UsageError, match=r"must be a folder|config\.json"):
        huggingface(name)
    with pytest.raises(UsageError, match=r"dtype must be one of float32, .*, got 'nope'"):
        huggingface(good, dtype="nope")


def test_a_good_folder_is_read_also_in_parts_and_with_a_tensor_too_many(good, tmp_path):
    model = huggingface(good)
    folder = tmp_path / "parts"
    shutil.copytree(good, folder)
    state = load_file(folder / WEIGHTS)
    places = {name: f"{i % 2}.safetensors" for i, name in enumerate(state)}
    for part in set(places.values()):
        tensors = {name: state[name] for name in state if places[name] == part}
        save_file({**tensors, f"odd_{part}": torch.zeros(1)}, folder / part)
    without_weights(written(INDEX, json.dumps({"metadata": {}, "weight_map": places}).encode()))(
        folder
    )
    tokens = [[1, 2, 3, 4]]
    assert huggingface(folder).score(tokens).tolist() == model.score(tokens).tolist()
