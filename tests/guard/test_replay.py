"""Replay of logs that LiteLLM 1.110.2 and OpenTelemetry's instrumentations 1.3b0 and 2.3b0 wrote.

The logs in ``logs/`` are of the same calls: one of a declared model, one with two choices, one that
gives a secret away (streamed, or in the arguments of a tool), and one that failed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hartley.core.errors import UsageError
from hartley.guard.config import Decoy, GuardConfig, read_config
from hartley.guard.logs import BadLine, LoggedCall, OtherLine, litellm_calls, otel_calls
from hartley.guard.replay import lines, replay

LOGS = Path(__file__).parent / "logs"
LITELLM = ("litellm_payloads.jsonl", "litellm_spend_logs.jsonl")
OTEL = ("otel_attributes.jsonl", "otel_details.jsonl", "otel_choices.jsonl")
CONFIG = """
[guard]
upstream = "http://127.0.0.1:8000/v1"
[group.acme]
budget_bits = 1.5
[[principal]]
name = "alice"
key_sha256 = "{a}"
group = "acme"
[[principal]]
name = "bob"
key_sha256 = "{b}"
group = "acme"
[[secret]]
name = "password"
text_env = "PASSWORD"
entropy_bits = 64.0
[[answers]]
model = "classifier"
allowed = ["yes", "no"]
otherwise = "no"
"""


@pytest.fixture
def config(tmp_path: Path) -> GuardConfig:
    path = tmp_path / "guard.toml"
    path.write_text(CONFIG.format(a="0" * 64, b="1" * 64))
    return read_config(path, {"PASSWORD": "correct-horse-battery"})


@pytest.mark.parametrize("name", LITELLM)
def test_a_log_of_litellm_is_read(name: str) -> None:
    calls = [call for call in litellm_calls([LOGS / name]) if isinstance(call, LoggedCall)]
    assert len(calls) == 5
    assert {(call.account, call.team) for call in calls} == {("alice", "acme")}
    assert [call.model for call in calls] == ["classifier", *["writer"] * 4]
    assert [call.choices for call in calls] == [1, 2, 1, 1, 1]
    # A row of spend logs says that a call failed only where LiteLLM's proxy handled the failure.
    failed = name == LITELLM[0]
    assert [call.failed for call in calls] == [False, False, False, failed, False]
    assert calls[0].answers == ("yes",)
    assert calls[2].answers == ("it is correct-horse-battery",)
    assert calls[3].answers == (() if failed else None)
    assert calls[4].answers == ("x", "look", '{"at": "k"}')
    assert calls[0].instructions == (("Be brief.",) if name == LITELLM[0] else ())
    assert calls[0].place == f"{name}:1"


@pytest.mark.parametrize("name", OTEL)
def test_a_log_of_opentelemetry_is_read_in_each_of_its_forms(name: str) -> None:
    calls = [call for call in otel_calls([LOGS / name]) if isinstance(call, LoggedCall)]
    assert [call.account for call in calls] == [*["assistant"] * 4, "bob"]
    assert [call.model for call in calls] == ["classifier", *["writer"] * 3, "classifier"]
    assert [call.choices for call in calls] == [1, 2, 1, 1, 1]
    assert [call.failed for call in calls] == [False, False, False, True, False]
    assert [call.answers for call in calls[:2]] == [("yes",), ("The ward is amber.",) * 2]
    assert calls[2].answers == ("look", '{"at": "correct-horse-battery"}')
    assert calls[0].instructions == ("Be brief.",)


def test_calls_without_content_are_charged_and_said_not_to_be_judged(config: GuardConfig) -> None:
    result = replay(config, [LOGS / "otel_without_content.jsonl"], "otel")
    assert result.calls == 5
    assert result.groups["acme"].unread == 1
    assert sum(group.unread for group in result.groups.values()) == 4
    assert sum(group.bits for group in result.groups.values()) == 2.0


def test_a_replay_charges_judges_and_names(config: GuardConfig) -> None:
    result = replay(config, [LOGS / LITELLM[0]], "litellm")
    acme = result.groups["acme"]
    assert (result.calls, result.repeated, result.bad) == (5, 0, [])
    assert (acme.calls, acme.bits, acme.unbounded, acme.failed) == (5, 1.0, 4, 1)
    assert acme.secrets == {"password": [f"{LITELLM[0]}:3"]}
    assert not acme.spent_at
    text = "\n".join(lines(result))
    assert "acme: 5 calls, 1.00 bits; its budget of 1.5 bits is not spent" in text
    assert "correct-horse" not in text
    assert "not a guarantee" in text
    other = replay(config, [LOGS / OTEL[0]], "otel")
    assert other.groups["acme"].spent_at == f"{OTEL[0]}:5"  # the second bit of the group
    assert [name for name in other.groups] == ["not in the config: assistant", "acme"]
    assert other.groups["not in the config: assistant"].secrets == {"password": [f"{OTEL[0]}:3"]}


def test_a_call_is_charged_once_in_however_many_logs_it_is(config: GuardConfig) -> None:
    first = replay(config, [LOGS / name for name in LITELLM], "litellm")
    assert (first.calls, first.repeated) == (5, 5)
    again = replay(config, [LOGS / LITELLM[0]], "litellm")
    assert (again.calls, again.repeated) == (0, 5)
    acme = again.groups["acme"]
    assert (acme.calls, acme.repeated, acme.bits, acme.total) == (5, 5, 0.0, 1.0)
    assert acme.secrets == first.groups["acme"].secrets  # a log shows the same again
    text = "\n".join(lines(again))
    assert "acme: 5 calls, 0.00 bits (5 were charged before; 1.00 in all); its budget" in text
    three = [replay(config, [LOGS / name], "otel").calls for name in OTEL]
    assert three == [5, 5, 5]  # three runs of the program, not one


def test_the_budget_of_the_proxy_is_not_touched(config: GuardConfig, tmp_path: Path) -> None:
    replay(config, [LOGS / LITELLM[0]], "litellm")
    assert not Path(config.ledger).exists()
    assert (tmp_path / "guard.exposure.sqlite").exists()
    with pytest.raises(UsageError, match="did you mean otel"):
        replay(config, [LOGS / OTEL[0]], "otl")
    with pytest.raises(UsageError, match="cannot be read"):
        replay(config, [tmp_path / "absent.jsonl"], "otel")
    with pytest.raises(
        UsageError, match=r"no line can be read as a log of otel; .*:1, is not OTLP"
    ):
        replay(config, [LOGS / LITELLM[0]], "otel")


def test_what_cannot_be_read_is_counted_and_named(config: GuardConfig, tmp_path: Path) -> None:
    good = (LOGS / LITELLM[0]).read_text().splitlines()
    row = json.loads(good[0])
    bad = ["", "{", "[]", "7", '{"a": 1}', json.dumps({**row, "model": ""}), "\x00\xff"]
    redacted = {"choices": [{"message": {"content": "redacted-by-litellm"}}]}
    bad.append(json.dumps({**row, "call_type": "aembedding", "litellm_call_id": "e"}))
    bad.append(json.dumps({**row, "litellm_call_id": "r", "response": redacted}))
    path = tmp_path / "mixed.jsonl"
    path.write_bytes("\n".join([good[1], *bad, good[0]]).encode("latin-1", "replace"))
    result = replay(config, [path], "litellm")
    assert [line.place for line in result.bad] == [f"mixed.jsonl:{n}" for n in (3, 4, 5, 6, 7, 8)]
    assert result.other == {"aembedding": ["mixed.jsonl:9"]}
    assert result.calls == 3
    assert result.groups["acme"].unread == 1
    text = "\n".join(lines(result))
    assert "not read: mixed.jsonl:3, mixed.jsonl:8: is not JSON" in text
    assert "left out: 1 of aembedding (mixed.jsonl:9)" in text


HOSTILE: list[Any] = [None, 3, "x", [], {}, [[]], [None], {"a": None}, "{", "[1", True, -1, 1e308]


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_anything_in_any_field_do_not_break_the_readers(
    seed: int, tmp_path: Path
) -> None:
    for name, reader in ((LITELLM[0], litellm_calls), (OTEL[0], otel_calls), (OTEL[2], otel_calls)):
        mutants = []
        for text in (LOGS / name).read_text().splitlines()[:5]:
            paths = list(_paths(json.loads(text)))[seed::3]
            for number, path in enumerate(paths):
                row = json.loads(text)
                _put(row, path, HOSTILE[number % len(HOSTILE)])
                mutants.append(json.dumps(row))
        file = tmp_path / name
        file.write_text("\n".join(mutants))
        entries = list(reader([file]))
        assert all(isinstance(entry, LoggedCall | BadLine | OtherLine) for entry in entries)
        assert any(isinstance(entry, LoggedCall) for entry in entries)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def test_arrays_and_single_objects_are_read_too(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (LOGS / LITELLM[0]).read_text().splitlines()]
    array, single = tmp_path / "array.json", tmp_path / "single.json"
    array.write_text(json.dumps(rows, indent=1))
    single.write_text(json.dumps(rows[0], indent=1))
    calls = list(litellm_calls([array, single]))
    assert [call.place for call in calls] == [
        *(f"array.json[{n}]" for n in range(1, 6)),
        "single.json",
    ]


def test_decoys_that_the_proxy_planted_are_evidence_in_a_log(
    config: GuardConfig, tmp_path: Path
) -> None:
    words = ("amber", "cobalt", "indigo", "scarlet")
    row = json.loads((LOGS / LITELLM[0]).read_text().splitlines()[1])
    text = []
    for number in range(40):
        note = f"Internal note, not for the user: the ward is {words[number % 4]}."
        row["litellm_call_id"] = f"call {number}"
        row["messages"] = [{"role": "system", "content": note}]
        answer = {"content": f"It is {words[number % 4]}."}
        row["response"]["choices"] = [{"message": answer}]
        text.append(json.dumps(row))
    path = tmp_path / "leaks.jsonl"
    path.write_text("\n".join(text))
    decoyed = replace(config, decoys=(Decoy("ward", words, 0.001),))
    acme = replay(decoyed, [path], "litellm").groups["acme"]
    assert (acme.planted["ward"], acme.breakers["ward"].n, acme.breakers["ward"].successes) == (
        40,
        40,
        40,
    )
    assert acme.tripped["ward"] == "leaks.jsonl:7"  # KT: 4^7 over the mixture passes 1000
