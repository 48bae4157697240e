"""``hartley canaries make``, and the audit of a model with what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast


@pytest.fixture
def net(tmp_path, call, capsys):
    """A language model of letters that has learnt nothing, in the current folder."""
    letters = [chr(code) for code in range(32, 127)]
    for name, words in (("net", letters), ("wordy", ["?", "The"])):
        tool = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, words[0]))
        tool.pre_tokenizer = (
            pre_tokenizers.Split("", "isolated") if name == "net" else pre_tokenizers.Whitespace()
        )
        PreTrainedTokenizerFast(tokenizer_object=tool).save_pretrained(name)
    sizes = {"n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=95, **sizes)).save_pretrained("net")
    capsys.readouterr()  # the library draws bars as it writes


def test_canaries_are_made_and_read_of_a_model_by_flags_and_by_a_plan(call, net):
    made = call("canaries", "make", "--into", "c.jsonl", "--count", "24", "--digits", "1",
                "--repeats", "2", "--tokenizer", "net", "--seed", "3")  # fmt: skip
    assert made.returncode == 0 and made.stdout == "c.jsonl\n"
    truth = json.loads(Path("c.truth.json").read_text())
    planted = [row for row in truth["canaries"] if row["planted"]]
    assert len(Path("c.jsonl").read_text().splitlines()) == 2 * len(planted)
    assert f"{2 * len(planted)} lines to add" in made.stderr and "c.truth.json" in made.stderr
    # No secret is on the screen.
    assert not any(row["name"] in made.stderr + made.stdout for row in truth["canaries"])
    common = [
        "--only",
        "exposure",
        "--only",
        "loss_threshold",
        "--workers",
        "0",
        "--json",
        "--store",
        "a",
    ]
    Path("plan.toml").write_text('[model]\npath = "net"\n[data]\ncanaries = "c.jsonl"\n')
    results = [
        call("assess", *words, *common)
        for words in (["--model", "net", "--canaries", "c.jsonl"], ["plan.toml"])
    ]
    rows = [
        {row["attack"]: row for row in json.loads(result.stdout)["channels"]
         if row["status"] == "measured"}
        for result in results
    ]  # fmt: skip
    assert rows[0].keys() == rows[1].keys() == {"exposure", "loss_threshold"}
    assert rows[0]["exposure"]["bits"] == rows[1]["exposure"]["bits"]
    assert rows[0]["exposure"]["n"] == len(planted) and rows[0]["loss_threshold"]["n"] == 23
    assert not rows[0]["exposure"]["leakage"] and rows[0]["loss_threshold"]["planted"]
    facts = json.loads(results[0].stdout)["scene"]["facts"]
    assert facts["canaries file"].startswith("c.jsonl, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--into", "c.txt"], "--into must be a file .jsonl, got c.txt"),
        (["--into", "c.jsonl", "--count", "3"], "--count must be from 16 to 2000 canaries, got 3"),
        (["--into", "c.jsonl", "--repeats", "a"], "--repeats must be numbers like 1,4,16, got 'a'"),
        (["--into", "c.jsonl", "--repeats", "0"], "--repeats must be copies from 1 to 1000, got 0"),
        (["--into", "c.jsonl", "--digits", "5"], "--digits must be from 1 to 4, got 5"),
        (
            ["--into", "c.jsonl", "--template", "{secret} {name}"],
            "--template must have {name} once",
        ),
        (
            ["--into", "c.jsonl", "--chat", "--question", "What?"],
            "--question must have {name} once",
        ),
        (["--into", "c.jsonl", "--separator=-"], "--separator must be a space or empty"),
        (["--into", "c.jsonl", "--tokenizer", "wordy"], "must write each digit of a canary as one"),
        (["--into", "c.jsonl", "--tokenizer", "absent"], "absent must hold a tokenizer"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(call, net, words, message):
    result = call("canaries", "make", *words)
    assert result.returncode == 2 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(Path().glob("c*"))
