"""Charges bound what answers carry, and a response says nothing but its symbols."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.guard.charge import charge_of
from hartley.guard.config import AnswerForm, GuardConfig, read_config
from hartley.guard.forms import (
    Alphabet,
    FreeText,
    alphabet,
    coerce,
    form_of,
    forwarded,
    response,
    sent_events,
    symbols_of,
    texts_bits,
)
from hartley.infotheory.channel_matrix import min_capacity

KEY = "0" * 64
BASE = """
[guard]
upstream = "http://127.0.0.1:8000/v1"
mode = "enforce"
[group.acme]
budget_bits = 44.0
[[principal]]
name = "alice"
key_sha256 = "{key}"
group = "acme"
[[secret]]
name = "password"
text_env = "PASSWORD"
entropy_bits = 64.0
[[answers]]
model = "classifier"
allowed = ["yes", "no"]
otherwise = "no"
[[answers]]
model = "strict"
allowed = ["yes", "no", "maybe"]
[[answers]]
model = "timed"
allowed = ["yes", "no"]
otherwise = "no"
delay_ms = 50
delay_steps = 8
"""
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "is it so?"}]}


def config(tmp_path: Path, more: str = "") -> GuardConfig:
    path = tmp_path / "guard.toml"
    path.write_text(BASE.format(key=KEY) + more)
    return read_config(path, {"PASSWORD": "correct-horse-battery"})


@pytest.mark.parametrize(
    ("request_", "bits"),
    [
        ({"model": "classifier"}, 1.0),
        ({"model": "classifier", "n": 5}, 5.0),
        ({"model": "strict"}, 2.0),  # a refusal is one symbol more
        ({"model": "timed"}, 4.0),  # 2 answers at 8 times
        ({"model": "timed", "n": 2}, 5.0),  # both leave together
    ],
)
def test_an_alphabet_is_charged_the_log_of_its_observations(
    tmp_path: Path, request_: dict[str, Any], bits: float
) -> None:
    charge = charge_of(config(tmp_path), {**CHAT, **request_})
    assert charge.bits == bits
    assert charge.guaranteed
    assert ("time is not counted" in charge.basis) == (request_["model"] != "timed")


def test_a_list_of_prompts_has_as_many_answers(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert charge_of(settings, {"model": "classifier", "prompt": ["a", "b"], "n": 3}).bits == 6
    assert charge_of(settings, {"model": "classifier", "prompt": [5, 6, 7], "n": 3}).bits == 3


@pytest.mark.parametrize("n", [0, -1, True, 2.0, "2", 129, 10**30])
def test_a_number_of_choices_that_is_not_valid_is_refused(tmp_path: Path, n: object) -> None:
    with pytest.raises(UsageError, match="n must be"):
        charge_of(config(tmp_path), {**CHAT, "model": "classifier", "n": n})


@pytest.mark.parametrize("model", [None, "", 3, ["classifier"]])
def test_a_model_that_is_not_a_name_is_refused(tmp_path: Path, model: object) -> None:
    with pytest.raises(UsageError, match="model must be"):
        charge_of(config(tmp_path), {**CHAT, "model": model})


def test_free_text_is_charged_its_length_or_the_secrets_and_else_nothing(tmp_path: Path) -> None:
    request = {**CHAT, "model": "writer"}
    assert charge_of(config(tmp_path), request) == charge_of(config(tmp_path), {**request, "n": 3})
    assert not charge_of(config(tmp_path), request).guaranteed
    long = charge_of(config(tmp_path, "[free_text]\nguarantee = true\n"), request)
    assert (long.bits, long.guaranteed, long.secrets) == (64.0, True, ("password",))
    short = config(tmp_path, "[free_text]\nguarantee = true\nmax_bytes = 4\n")
    charge = charge_of(short, request)
    assert 28 < charge.bits < 30
    assert charge.secrets == ("password",)
    form = form_of(short, request)
    assert isinstance(form, FreeText)
    assert form.whole  # the length bounds the text alone: no pieces, no fields
    assert charge_of(short, {**request, "n": 3}).bits == 64.0


def test_dry_run_promises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(BASE.format(key=KEY).replace('"enforce"', '"dry-run"'))
    charge = charge_of(
        read_config(path, {"PASSWORD": "correct-horse-battery"}), {**CHAT, "model": "classifier"}
    )
    assert (charge.bits, charge.guaranteed) == (1.0, False)


def test_the_length_bound_is_above_the_exact_number_of_texts_and_near_it() -> None:
    exact, counts = 0, [1]
    for size in range(61):
        if size:
            widths = ((1, 128), (2, 1920), (3, 61440), (4, 1048576))
            counts.append(sum(m * counts[size - w] for w, m in widths if size >= w))
        exact += counts[size]
        bits = math.log2(exact + 1)
        assert bits <= texts_bits(size) <= bits + 0.7
    # The counts by themselves: all byte strings of at most 2 bytes that are UTF-8.
    pairs = [bytes([a, b]) for a in range(256) for b in range(256)]
    valid = sum(1 for pair in pairs if _valid(pair))
    assert counts[2] == valid


def _valid(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        ("yes", "yes"),
        (" Yes.\n", "yes"),
        ('"YES"', "yes"),
        ("yes and no", "no"),
        ("", "no"),
        ("the password is correct-horse", "no"),
        ("yes\u200b", "no"),
    ],
)
def test_any_answer_becomes_a_declared_one(answer: str, symbol: str) -> None:
    assert coerce(alphabet(AnswerForm("m", ("yes", "no"), "no")), answer) == symbol


def test_texts_that_differ_in_case_alone_are_not_mixed_up() -> None:
    form = alphabet(AnswerForm("m", ("A", "a")))
    assert [coerce(form, text) for text in ("A", "a", "a.")] == ["A", "a", None]


PAYLOADS: tuple[object, ...] = (
    None,
    [],
    "text",
    {"error": {"message": "the password is correct-horse", "code": "k7"}},
    {"choices": "x"},
    {"choices": []},
    {"choices": [None, 3]},
    {"choices": [{"index": 10**9, "message": {"content": "yes"}}]},
    {"choices": [{"index": True, "message": {"content": "yes"}}]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": 5}}]},
    {"choices": [{"message": {"content": [{"text": "yes"}, {"text": 5}, 7]}}]},
    {"choices": [{"message": {"content": "\ud800"}}]},
)
STATUSES = (200, 201, 400, 404, 429, 500, 503)


def _tricks() -> Iterator[tuple[int, object]]:
    """Yield answers by which a model could say more than a symbol, if a field were let through."""
    yield from product(STATUSES, PAYLOADS)
    for text in ("yes", "no", "YES", " yes ", "no.", "other", "yes" * 99):
        for reason in ("stop", "length", "content_filter", "tool_calls", 7, "secret"):
            for extra in (
                {},
                {"logprobs": {"content": [{"token": "a", "logprob": -0.123}]}},
                {"delta": {"content": "k"}},
                {"stop_reason": 5},
            ):
                for usage in (None, {"completion_tokens": 17}, {"x": "k"}):
                    for message in (
                        {"content": text},
                        {"content": text, "reasoning_content": "k"},
                        {"content": text, "refusal": "k"},
                        {"content": text, "tool_calls": [{"function": {"name": "k"}}]},
                        {"content": text, "annotations": ["k"], "audio": {"id": "k"}},
                    ):
                        choice = {"index": 0, "message": message, "finish_reason": reason, **extra}
                        yield (
                            200,
                            {
                                "id": f"k{reason}",
                                "created": len(text),
                                "model": "k",
                                "system_fingerprint": text,
                                "usage": usage,
                                "choices": [choice, {**choice, "index": 1}],
                            },
                        )


@pytest.mark.parametrize("model", ["classifier", "strict"])
@pytest.mark.parametrize("n", [1, 2])
def test_whatever_a_model_sends_there_are_only_as_many_responses_as_charged(
    tmp_path: Path, model: str, n: int
) -> None:
    settings = config(tmp_path)
    request = {**CHAT, "model": model, "n": n, "stream_options": {"include_usage": True}}
    form = form_of(settings, request)
    assert isinstance(form, Alphabet)
    whole, streamed = set(), set()
    for status, payload in _tricks():
        symbols = symbols_of(form, status, payload)
        whole.add(json.dumps(response(request, symbols, number="n", created=5)))
        streamed.add(sent_events(request, symbols, number="n", created=5))
    limit = 2 ** charge_of(settings, request).bits
    assert 2 <= len(whole) <= limit + 1e-9
    assert 2 <= len(streamed) <= limit + 1e-9


def test_short_free_text_has_no_field_but_its_text(tmp_path: Path) -> None:
    settings = config(tmp_path, "[free_text]\nguarantee = true\nmax_bytes = 4\n")
    request = {**CHAT, "model": "writer"}
    form = form_of(settings, request)
    by_text: dict[object, set[str]] = {}
    for status, payload in _tricks():
        symbols = symbols_of(form, status, payload)
        body = response(request, symbols, number="n", created=5)
        by_text.setdefault(symbols, set()).add(json.dumps(body))
        assert all(len((symbol or "").encode()) <= 4 for symbol in symbols)
    assert all(len(bodies) == 1 for bodies in by_text.values())
    assert len(by_text) > 4


def test_what_shapes_a_response_is_not_asked_of_the_model(tmp_path: Path) -> None:
    settings = config(tmp_path)
    request = {**CHAT, "model": "classifier", "logprobs": True, "stream": True, "tools": [{}]}
    request |= {"temperature": 0.5, "n": 2}
    body = forwarded(form_of(settings, request), request)
    assert body == {**CHAT, "model": "classifier", "temperature": 0.5, "n": 2}
    assert request["stream"]
    free = {**CHAT, "model": "writer", "stream": True, "logprobs": True}
    assert forwarded(form_of(settings, free), free) == free  # no guarantee: as it came
    held = config(tmp_path, "[free_text]\nguarantee = true\nmax_tokens = 9\n")
    asked = {**free, "max_completion_tokens": 50}
    assert forwarded(form_of(held, asked), asked)["max_completion_tokens"] == 9
    assert forwarded(form_of(held, free), free)["max_tokens"] == 9


def leaves(tree: Any, laws: list[np.ndarray]) -> np.ndarray:
    """Return the law (secrets, ends) of the ends of an adaptive interaction, all enumerated."""

    def ends(node: Any, reached: np.ndarray) -> Iterator[np.ndarray]:
        if node is None:
            yield reached
            return
        for output, child in enumerate(node[1]):
            yield from ends(child, reached * laws[node[0]][:, output])

    return np.stack(list(ends(tree, np.ones(len(laws[0])))), 1)


def grown(rng: np.random.Generator, laws: list[np.ndarray], bits: float, depth: int) -> Any:
    """Return a random adaptive tree whose charges along every path sum to at most ``bits``."""
    affordable = [k for k, law in enumerate(laws) if math.log2(law.shape[1]) <= bits + 1e-12]
    if not affordable or not depth or rng.random() < 0.1:
        return None
    k = int(rng.choice(affordable))
    outputs = laws[k].shape[1]
    left = bits - math.log2(outputs)
    return k, [grown(rng, laws, left, depth - 1) for _ in range(outputs)]


def test_an_adaptive_interaction_carries_at_most_its_budget() -> None:
    """Exact enumeration of 400 random trees of noisy and clear channels; the bound is reached."""
    rng = np.random.default_rng(7)
    tightest = math.inf
    for trial in range(400):
        secrets, bits = int(rng.integers(2, 40)), float(rng.uniform(1, 6))
        laws = []
        for _ in range(5):
            outputs = int(rng.integers(2, 6))
            clear = np.eye(outputs)[rng.integers(outputs, size=secrets)]
            noisy = rng.dirichlet(np.full(outputs, rng.choice([0.05, 0.3, 1.0])), secrets)
            laws.append(clear if trial % 2 else noisy)
        tree = grown(rng, laws, bits, 6)
        if tree is not None:
            slack = bits - min_capacity(leaves(tree, laws))
            assert slack >= -1e-9
            tightest = min(tightest, slack)
    assert tightest < 0.35
    # The digits of a secret, asked one after another, reach the sum of the charges exactly.
    digits = [np.eye(3)[np.arange(27) // 3**k % 3] for k in range(3)]
    tree = (0, [(1, [(2, [None] * 3)] * 3)] * 3)
    assert min_capacity(leaves(tree, digits)) == pytest.approx(3 * math.log2(3), abs=1e-12)


def test_with_a_delay_there_are_as_many_moments_as_steps() -> None:
    form = alphabet(AnswerForm("m", ("yes", "no"), "no", 40, 3))
    for elapsed, step in ((0.0, 1), (0.039, 1), (0.041, 2), (0.1, 3), (5.0, 3), (math.inf, 3)):
        # What is drawn does not depend on the answer, and moments of two steps do not meet.
        moments = [form.leaves_at(elapsed, draw) for draw in (0.0, 0.5, 1.0)]
        assert moments == pytest.approx([0.04 * step, 0.04 * step + 0.005, 0.04 * step + 0.01])


CASES = json.loads((Path(__file__).parents[1] / "channel" / "channels.json").read_text())["cases"]
ANSWERS = {"bsc": 2, "kary_erasure": 3, "z_channel": 2, "kary_symmetric": 10, "dmc_matrix": 7}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["kind"] in ANSWERS], ids=lambda case: case["id"]
)
def test_a_model_of_a_known_law_leaks_at_most_what_it_is_charged(case: dict[str, Any]) -> None:
    """The leaks are those of ``channels.json``, from two independent computations."""
    count = ANSWERS[case["kind"]]
    form = alphabet(AnswerForm("m", tuple(f"w{k}" for k in range(count)), "w0"))
    assert form.bits == math.log2(count)
    assert case["expected"]["min_capacity"] <= form.bits
