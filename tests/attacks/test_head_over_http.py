"""The head of a language model through a real local server, within the limits that it declares."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from hartley.attacks.model_to_model.extraction._shared import head_of_scores
from hartley.attacks.model_to_model.extraction.last_layer import last_layer
from hartley.attacks.model_to_model.extraction.logit_bias_head import logit_bias_head
from hartley.core import Codec, Data, Modality, Model, Output, Scene, Settings, View
from hartley.core.errors import RunError, UsageError
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.extraction import head_fingerprint
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.head_extraction import instability, stolen_head
from hartley.kit.next_tokens import likeliest
from hartley.kit.retry import Backoff
from hartley.scenes import _served_head
from hartley.targets.completions_server import CompletionsServer
from hartley.targets.http import endpoint

VOCABULARY, HIDDEN = 96, 8
CODEC = Codec(
    lambda texts: np.zeros((len(texts), 1), int), lambda rows: [""] * len(rows), VOCABULARY
)


def _states(tokens: Any) -> Any:
    """Hidden states on a sphere, as a last norm makes them, of what a row of tokens draws."""
    drawn = [np.random.default_rng(row.tolist()).standard_normal(HIDDEN) for row in tokens + 1]
    return np.array([v / np.linalg.norm(v) * np.sqrt(HIDDEN) for v in drawn])


def _scene(top: int = 20, bias: float = 100.0, jitter: float = 0.0) -> Scene:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 2, HIDDEN)
    return _served_head.scene_of(
        "served",
        states=lambda tokens: _states(tokens) * scale,
        head=rng.standard_normal((VOCABULARY, HIDDEN)),
        scale=scale,
        codec=CODEC,
        public=Data("public", Modality.LANGUAGE, rng.integers(0, VOCABULARY, (40, 6))),
        server=CompletionsServer({}, most=top, bias=bias, jitter=jitter),
        digest="",
        settings=Settings(),
        facts={},
    )


def _played(scene: Scene, attack: Any = logit_bias_head, **kwargs: Any) -> Any:
    return play(attack, scene, seed=0, game_params={"rounds": 1}, **kwargs)


def test_twenty_log_probabilities_and_a_bias_give_size_and_head_up_to_a_rotation() -> None:
    trials = _played(_scene())
    assert trials.metrics["size_error"] == 0
    assert trials.metrics["head_error"] < 1e-8 and trials.metrics["rotation_error"] < 1e-8
    assert np.array_equal(trials.truth, trials.guess) and trials.metrics["queries"] < 600


def test_one_log_probability_and_a_bias_give_them_too() -> None:
    trials = _played(_scene(top=1))
    assert trials.metrics["size_error"] == 0 and trials.metrics["head_error"] < 1e-4


def test_all_log_probabilities_give_the_head_up_to_a_map_without_a_bias() -> None:
    trials = _played(_scene(top=VOCABULARY, bias=0.0), last_layer)
    assert trials.metrics["size_error"] == 0 and trials.metrics["head_error"] < 1e-8
    assert trials.metrics["rotation_error"] > 0.05
    assert np.array_equal(trials.truth, trials.guess)


def test_an_endpoint_that_changes_its_answers_is_measured_and_its_size_still_found() -> None:
    trials = _played(_scene(jitter=1e-3))
    assert 1e-4 < trials.metrics["instability"] < 1e-2
    assert trials.metrics["size_error"] == 0 and 1e-5 < trials.metrics["head_error"] < 0.05
    steady = _scene().model
    assert steady is not None and instability(steady, np.ones((2, 3), dtype=int)) == 0


@pytest.mark.parametrize(
    ("name", "params"), [("logprob_limit", {"k": 5}), ("bias_limit", {"largest": 0.0})]
)
def test_without_a_bias_the_likeliest_few_do_not_settle_the_head(name: str, params: Any) -> None:
    scene = _scene()
    trials = _played(defended(scene, name, params, seed=0))
    assert trials.metrics["head_error"] > 0.9
    right = int((trials.truth == trials.guess).sum())
    assert binomtest(right, trials.truth.size, 0.25, "greater").pvalue > 0.01, "a blind guess"


@pytest.mark.parametrize(
    ("name", "params"),
    [("score_noise", {"scale": 5.0}), ("rounding", {"digits": 0}), ("top_k", {"k": 1})],
)
def test_a_defense_of_scores_changes_the_likeliest_tokens_too(name: str, params: Any) -> None:
    trials = _played(defended(_scene(), name, params, seed=0))
    assert trials.metrics["head_error"] > 0.5
    rows, none = np.ones((3, 4), dtype=int), np.full((3, 1), -1)
    scene = _scene()
    before, after = scene.model, defended(scene, name, params, seed=0).model
    assert before is not None and after is not None
    plain, changed = (m.calls["top_logprobs"](rows, 5, none, 0.0) for m in (before, after))
    assert changed.shape == plain.shape and np.abs(changed[..., 1] - plain[..., 1]).max() > 0.1
    assert np.all(np.exp(changed[..., 1]).sum(1) < 1 + 1e-9)


def test_fewer_log_probabilities_with_a_bias_are_dearer_and_give_the_same() -> None:
    scene = _scene()
    limited = _played(defended(scene, "logprob_limit", {"k": 5, "bias": True}, seed=0))
    assert limited.metrics["queries"] > 2 * _played(scene).metrics["queries"]
    assert limited.metrics["rotation_error"] < 1e-8


def test_an_endpoint_that_gives_less_than_declared_is_refused() -> None:
    server = CompletionsServer({"m": lambda tokens: np.zeros((len(tokens), 9))}, most=4, bias=1.0)
    small = Codec(CODEC.encode, CODEC.decode, 9)
    how: Any = {
        "codec": small,
        "scores": False,
        "prompts": "tokens",
        "backoff": Backoff(attempts=1),
    }
    rows, none = np.ones((2, 3), dtype=int), np.full((2, 1), -1)
    asked = endpoint(server.url, "m", top_logprobs=9, **how).calls["top_logprobs"]
    with pytest.raises(RunError, match="logprobs must be at most 4, got 9"):
        asked(rows, 9, none, 0.0)
    with pytest.raises(RunError, match="logit_bias must be at most"):
        asked(rows, 4, none + 1, 5.0)
    with pytest.raises(RunError, match="must give the 5 log-probabilities"):
        server.most = 9
        server.models["m"] = lambda tokens: np.zeros((len(tokens), 4))
        asked(rows, 5, none, 0.0)
    with pytest.raises(UsageError, match="at most the vocabulary, got 9 tokens"):
        endpoint(server.url, "m", top_logprobs=10, **how)
    server.close()


def test_likeliest_tokens_are_those_of_the_biased_softmax() -> None:
    rng = np.random.default_rng(0)
    logits, biased = (
        rng.standard_normal((5, 12)),
        np.array([[3, -1], [0, 1], [-1, -1], [2, 2], [7, 5]]),
    )
    top = likeliest(logits, 4, biased, 2.5)
    for row, lifted, answer in zip(logits, biased, top, strict=True):
        moved = row.copy()
        for token in lifted[lifted >= 0]:
            moved[token] = row[token] + 2.5
        law = np.exp(moved) / np.exp(moved).sum()
        order = np.argsort(-law)[:4]
        assert np.array_equal(answer[:, 0], order)
        assert np.allclose(np.exp(answer[:, 1]), law[order])


def test_points_on_an_ellipsoid_show_it_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 4))
    sphere = points / np.linalg.norm(points, axis=1, keepdims=True)
    turn = rng.standard_normal((4, 4))
    found = head_of_scores.on_sphere(sphere @ turn.T)
    assert found is not None
    assert np.allclose(np.linalg.norm(sphere @ turn.T @ found.T, axis=1), 1)
    assert np.allclose(found.T @ found, np.linalg.inv(turn @ turn.T))
    assert head_of_scores.on_sphere(points) is None
    assert head_of_scores.on_sphere(sphere[:12] @ turn.T) is None, "too few"


def test_errors_of_a_head_are_those_of_the_best_map_and_the_best_rotation() -> None:
    rng = np.random.default_rng(0)
    head = rng.standard_normal((50, 5))
    turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    shift = rng.standard_normal(5)
    assert head_fingerprint.rotation_error(3 * head @ turn + shift, head) < 1e-12
    sheared = head @ rng.standard_normal((5, 5))
    assert head_fingerprint.error_of(sheared + shift, head) < 1e-12
    assert head_fingerprint.rotation_error(sheared, head) > 0.1
    off = head + 0.01 * rng.standard_normal(head.shape)
    assert 0.005 < head_fingerprint.error_of(off, head) < 0.02
    assert head_fingerprint.error_of(head[:, :3], head) > 0.3
    assert head_fingerprint.rotation_error(head[:, :3], head) == 1


@pytest.mark.parametrize("width", [25, 49])
def test_a_random_head_gains_nothing_by_its_width(width: int) -> None:
    rng = np.random.default_rng(0)
    head, wide = rng.standard_normal((50, 5)), rng.standard_normal((50, width))
    rows = np.arange(10)
    assert head_fingerprint.error_of(wide, head) > 0.9
    aligned = head_fingerprint.align(wide, head, rows)
    assert np.linalg.norm(aligned - head) > 0.9 * np.linalg.norm(head)
    right = np.column_stack([head @ rng.standard_normal((5, 5)), 1e-3 * wide])
    assert head_fingerprint.error_of(right, head) < 0.05, "small further columns are cut"


def test_the_recipe_of_the_page_steals_the_head_of_an_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "extraction.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    rng = np.random.default_rng(0)
    spread = Codec(
        lambda texts: rng.integers(0, VOCABULARY, (len(texts), 6)), CODEC.decode, VOCABULARY
    )
    monkeypatch.setattr("hartley.targets.tokenizer_folder.tokenizer", lambda folder: spread)
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    head = rng.standard_normal((VOCABULARY, HIDDEN))
    server = CompletionsServer({"m": lambda t: _states(t) @ head.T}, most=20, bias=100.0)
    copy = namespace["steal"](server.url, "m", "", ["a text"] * 40)
    assert copy.facts["hidden size"] == HIDDEN and copy.facts["rotation settled"]
    assert copy.facts["largest difference of two answers"] == 0
    assert head_fingerprint.rotation_error(copy.weights()["head"], head) < 1e-8
    server.close()


def test_a_limit_on_log_probabilities_holds_for_scores_of_texts_too() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((6, 6))

    def query(tokens: Any) -> Any:
        return table[np.asarray(tokens)[:, -1]]

    def score(tokens: Any) -> Any:
        laws = table - np.log(np.exp(table).sum(1, keepdims=True))
        return laws[tokens[:, :-1], tokens[:, 1:]]

    calls: dict[str, Any] = {
        "query": query,
        "score": score,
        "moments": lambda t: np.stack([score(t)] * 3, -1),
        "tail_score": lambda t, first, rough=False: score(t).sum(1),
    }
    model = Model("m", Modality.LANGUAGE, calls=calls, output=Output.LOGITS, classes=6)
    scene = Scene("s", Modality.LANGUAGE, model=model)
    limited = defended(scene, "logprob_limit", {"k": 2}, seed=0).model
    assert limited is not None and "tail_score" not in limited.calls
    every = np.array([[0, token] for token in range(6)])
    for logs in (limited.calls["score"](every), limited.calls["moments"](every)[..., 0]):
        assert len(np.unique(np.round(logs, 9))) == 3, "two likeliest tokens, and one for the rest"
    blind = Model("m", Modality.LANGUAGE, calls={"score": score}, classes=6)
    alone = defended(Scene("s", Modality.LANGUAGE, model=blind), "logprob_limit", seed=0).model
    assert alone is not None and "score" not in alone.calls


@pytest.mark.parametrize("queries", [1, 3, 4, 30])
@pytest.mark.parametrize("attack", [logit_bias_head, last_layer])
def test_the_smallest_budgets_are_kept_to(attack: Any, queries: int) -> None:
    scene = _scene(top=VOCABULARY)
    trials = play(attack, scene, seed=0, game_params={"rounds": 1, "queries": queries})
    assert trials.metrics["queries"] <= queries
    nothing = defended(scene, "query_budget", {"queries": 0}, seed=0)
    trials = _played(nothing, attack)
    assert trials.metrics["queries"] == 0 and trials.metrics["head_error"] == 1


@pytest.mark.parametrize("top", [1, 20])
def test_an_endpoint_whose_answers_hide_the_bias_is_refused(top: int) -> None:
    model = _scene(top=top).model
    assert model is not None
    ask = model.calls["top_logprobs"]
    raw = model.with_(top_logprobs=lambda tokens, k, biased, bias: ask(tokens, k, biased, 0.0))
    public = Data("p", Modality.LANGUAGE, np.random.default_rng(0).integers(0, VOCABULARY, (9, 6)))
    view = View(raw, ExtractionBrief(public, VOCABULARY, queries=10_000))
    with pytest.raises(RunError, match="--logprobs-mode processed_logprobs"):
        logit_bias_head(view, np.random.default_rng(0))


def test_noise_of_a_server_repeats_with_the_questions_in_any_order() -> None:
    first, again = (_played(_scene(jitter=1e-3)) for _ in range(2))
    assert dict(first.metrics) == dict(again.metrics)
    servers = [CompletionsServer({"m": lambda t: np.zeros((len(t), 5))}, 5, 9.0, 0.1) for _ in "ab"]
    asks = [{"model": "m", "prompt": p, "max_tokens": 1, "logprobs": 5} for p in ([1], [2], [1])]
    one, two, three = (servers[0].answer(ask)["choices"] for ask in asks)
    assert one != three and one != two
    assert servers[1].answer(asks[1])["choices"] == two
    assert servers[1].answer(asks[0])["choices"] == one
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([1, 2], "must be a JSON object"),
        ({"logit_bias": [1]}, "logit_bias must be an object"),
        ({"logit_bias": {"-1": 1}}, "logit_bias must be an object"),
        ({"logit_bias": {"5": 1}}, "tokens below 5"),
        ({"logit_bias": {"1": float("nan")}}, "finite"),
        ({"logit_bias": {"1": "2"}}, "finite"),
        ({"prompt": [[1], "a"]}, "list of token ids"),
        ({"prompt": [-1]}, "list of token ids"),
        ({"logprobs": -1}, "whole number"),
        ({"logprobs": [2]}, "whole number"),
    ],
)
def test_a_malformed_request_is_answered_with_status_400(change: Any, message: str) -> None:
    server = CompletionsServer({"m": lambda t: np.zeros((len(t), 5))}, most=5, bias=9.0)
    right: dict[str, Any] = {"model": "m", "prompt": [1], "max_tokens": 1, "logprobs": 2}
    body = change if isinstance(change, list) else {**right, **change}
    address = f"{server.url}/completions"
    request = urllib.request.Request(address, json.dumps(body).encode())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    assert message in json.loads(refused.value.read())["error"]["message"]
    server.close()


def test_each_attacker_meets_the_same_noise_and_the_next_question_another_one() -> None:
    model = _scene(jitter=1e-3).model
    assert model is not None and model.session is not None
    prompts, none = np.arange(6)[None], np.array([[-1]])

    def asked(times: int) -> list[Any]:
        call = model.session()("top_logprobs", model.calls["top_logprobs"])
        return [np.asarray(call(prompts, 20, none, 0.0)) for _ in range(times)]

    first, second = asked(3), asked(1)
    assert np.array_equal(first[0], second[0]) and not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (np.full((VOCABULARY, HIDDEN), np.nan), "must be finite numbers"),
        (np.zeros((4, 9)), "at most as wide as its vocabulary, got 9 columns for 4 tokens"),
    ],
)
def test_a_head_that_is_none_gets_one_clear_line(head: Any, message: str) -> None:
    scene = _scene()
    assert scene.model is not None
    loot = head_of_scores.copy_of(head, np.zeros(VOCABULARY), scene.model, "test")
    with pytest.raises(RunError, match=message):
        stolen_head(loot)
