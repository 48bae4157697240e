"""A real small model behind a real server plays as the model itself does, on a bad line too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.targets.openai_server import Backend, serving

from hartley import catalog
from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
from hartley.attacks.model_to_data.membership.min_k import min_k
from hartley.attacks.model_to_data.membership.min_k_plus_plus import min_k_plus_plus
from hartley.attacks.model_to_data.memorization.exposure import exposure
from hartley.attacks.model_to_data.memorization.prefix_completion import prefix_completion
from hartley.channel.measure import measure
from hartley.core import Codec, Data, Ensemble, Form, Modality, Model, Scene, Trials
from hartley.core.errors import NotOffered, RunError, UsageError
from hartley.engine.run import answer_cache
from hartley.engine.run.play import play
from hartley.kit import training_news
from hartley.kit.ensemble_of import separate
from hartley.kit.language import gpt, text
from hartley.kit.retry import Backoff
from hartley.models.text_pipeline import TextPipeline
from hartley.scenes._assemble_language import canaries
from hartley.targets.http import Prices, endpoint

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

WHO = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida", "Jo")
DOES = ("paints", "sells", "mends", "keeps", "counts", "hides", "sends", "finds")
WHAT = ("boats", "clocks", "maps", "lamps", "stones", "birds", "coins", "keys")
WHERE = ("at home", "by the sea", "in town", "up north", "at dawn", "in June")
QUICK = Backoff(attempts=12, first=0.002, longest=0.02)


@pytest.fixture(autouse=True)
def _nothing_is_kept(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    answer_cache.forget()
    yield
    answer_cache.forget()


@cache
def sentences() -> tuple[list[str], list[str]]:
    """Members and non-members: no sentence twice."""
    every = [f"{a} {b} {c} {d}." for a in WHO for b in DOES for c in WHAT for d in WHERE]
    order = np.random.default_rng(1).permutation(len(every))
    chosen = [every[i] for i in order[:80]]
    return chosen[:40], chosen[40:]


@cache
def codec() -> Codec:
    members, others = sentences()
    return text.codec(text.byte_pair("\n".join([*members, *others, "keeps the number"]), 320))


def pipeline(epochs: int = 20) -> TextPipeline:
    shape = gpt.Shape(vocabulary=codec().size, width=32, layers=1, heads=2, context=40)
    lesson = gpt.Lesson(epochs=epochs, batch=8, rate=1e-2)
    return TextPipeline(shape, lesson, name="small", cached=False)


def patience(faults: float) -> float:
    """Seconds until a request has timed out: where none should, a busy machine is waited for."""
    return 3.0 if faults else 60.0


def records(name: str, texts: list[str]) -> Data:
    return Data(name, Modality.LANGUAGE, np.array(texts, dtype=object))


@cache
def trained() -> Model:
    """A small transformer that has read the members, trained here in seconds."""
    members, _ = sentences()
    rows = codec().encode(members)
    data = Data("members", Modality.LANGUAGE, rows)
    model = pipeline().fit(data, np.ones((1, len(rows)), bool), 0).member(0)
    return model.with_(codec=codec(), fit=None, moments=None)


def told_apart(model: Model) -> Scene:
    members, others = sentences()
    parts = {"train": records("members", members), "holdout": records("others", others)}
    assert parts["train"].form is Form.TEXT
    return Scene("texts", Modality.LANGUAGE, model=model, **parts)


def tokens_of(texts: list[str]) -> int:
    return int(text.lengths(codec().encode(texts)).sum())


def auc(trials: Trials) -> float:
    return float(measure(trials).metrics["auc"]["value"])


def test_requests_are_news_with_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """exposure asks thousands of times, and a run that is silent for an hour looks dead."""
    monkeypatch.setattr(training_news, "SELDOM", 0.0)
    news: list[training_news.News] = []
    rows = codec().encode(sentences()[0][:7])
    backend = Backend(codec(), {"small": trained()})
    with serving(backend) as url, training_news.listening(news.append):
        model = endpoint(url, "small", codec=codec(), batch=2, concurrency=1)
        model.calls["score"](rows)
        assert [(n["number"], n["of"]) for n in news] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert news[0]["left"] is None and all(n["left"] >= 0 for n in news[1:])
        assert {n["what"] for n in news} == {"request to the endpoint"}
        news.clear()
        model.calls["score"](rows[:2])
        assert not news  # one request has no rest


@pytest.mark.parametrize("faults", [0.0, 0.2])
@pytest.mark.parametrize("prompts", ["text", "tokens"])
def test_membership_of_texts_through_an_endpoint(faults: float, prompts: Any) -> None:
    backend = Backend(codec(), {"small": trained()}, faults)
    with serving(backend) as url:
        model = endpoint(
            url,
            "small",
            codec=codec(),
            revision="1",
            prompts=prompts,
            batch=3,
            timeout=patience(faults),
            backoff=QUICK,
            prices=Prices(tokens_in=2.0, tokens_out=10.0),
        )
        members, others = sentences()
        each = tokens_of([*members, *others])
        for number, attack in enumerate((loss_threshold, min_k), 1):
            direct, asked = (play(attack, told_apart(m)) for m in (trained(), model))
            np.testing.assert_allclose(asked.guess, direct.guess, atol=1e-5, rtol=0)
            np.testing.assert_array_equal(asked.truth, direct.truth)
            assert auc(asked) == auc(direct) > 0.8
            # 80 texts, each asked and charged once, whatever happened on the way.
            assert asked.spec.uses == 80 and backend.answered == 80 * number
            assert asked.cost["tokens_in"] == each and "tokens_out" not in asked.cost
            assert asked.costs["cost_tokens"].sum() == pytest.approx(each)
            assert asked.costs["cost_money"].sum() == pytest.approx(2e-6 * each)
            assert asked.cost["model_s"] > 0
            assert "cost_tokens" not in direct.costs
    assert backend.tokens == [2 * each, 0]
    hit = sum(n for kind, n in backend.met.items() if kind)
    assert (hit > 0) == (faults > 0)


VICTIMS: dict[Any, Ensemble] = {}


def victims(data: Data, include: Any, seed: int) -> Ensemble:
    """An owner's training: the same victims, however they are served, are trained once."""
    key = (str(data.x.tolist()), include.tobytes(), seed)
    if key not in VICTIMS:
        VICTIMS[key] = pipeline(epochs=12).fit(data, include, seed)
    return VICTIMS[key]


def published(backend: Backend, url: str, **how: Any) -> Any:
    """An owner whose trained victims are served: what an attacker holds are endpoints."""

    def fit(data: Data, include: Any, seed: int) -> Ensemble:
        ensemble = victims(data, include, seed)

        def member(k: int) -> Model:
            name = f"victim {seed} {k}"
            backend.models[name] = ensemble.member(k)
            return endpoint(
                url, name, codec=codec(), timeout=patience(backend.faults), backoff=QUICK, **how
            )

        return separate([member(k) for k in range(len(include))])

    return fit


def planted(model: Model, fit: Any) -> Scene:
    members, _ = sentences()
    words = text.Vocabulary(
        codec().size,
        lambda said: [i for i in codec().encode([said])[0].tolist() if i >= 0],
        lambda ids: codec().decode(np.array([ids]))[0],
        "",
    )
    return Scene(
        "planted",
        Modality.LANGUAGE,
        model=model.with_(fit=None),
        train=records("members", members),
        fit=fit,
        extra={"canaries": canaries(words, 6, 2)},
    )


GAME = {"rounds": 2, "repeats": 6}


def test_exposure_through_completions_with_prompt_log_probabilities() -> None:
    direct = play(exposure, planted(trained(), victims), game_params=GAME)
    told = {}
    for faults in (0.0, 0.2):
        backend = Backend(codec(), {}, faults)
        with serving(backend) as url:
            scene = planted(endpoint(url, "none", codec=codec()), published(backend, url))
            told[faults] = play(exposure, scene, game_params=GAME)
        # Every candidate of every canary of both victims, once.
        assert backend.answered == told[faults].spec.uses == 2 * 6 * 100
        assert told[faults].cost["tokens_in"] * 2 == backend.tokens[0]
    np.testing.assert_array_equal(told[0.2].guess, told[0.0].guess)
    np.testing.assert_array_equal(told[0.0].guess, direct.guess)
    assert measure(told[0.0]).metrics["exposure"] == measure(direct).metrics["exposure"]
    assert measure(direct).bits.value > 2
    assert sum(n for kind, n in backend.met.items() if kind) > 20


def test_the_scores_of_candidates_are_those_of_the_model_itself() -> None:
    backend = Backend(codec(), {"small": trained()})
    scene = planted(trained(), None)
    with serving(backend) as url:
        model = endpoint(url, "small", codec=codec())
        from hartley.games.memorization import text_canaries

        book = scene.extra["canaries"]
        symbols = np.asarray(book.facts["symbols"])
        for prefix in book.x[:2]:
            asked, direct = (
                text_canaries.likelihoods(m, prefix, 2, symbols, 1.5) for m in (model, trained())
            )
            np.testing.assert_allclose(asked, direct, atol=1e-5, rtol=0)


def test_prefix_completion_through_chat() -> None:
    told, requests = {}, {}
    for faults in (0.0, 0.2):
        backend = Backend(codec(), {}, faults)
        how = {"sampling": "chat", "scores": False, "choices": 16}
        with serving(backend) as url:
            scene = planted(
                endpoint(url, "none", codec=codec(), scores=False), published(backend, url, **how)
            )
            told[faults] = play(prefix_completion, scene, params={"samples": 32}, game_params=GAME)
        assert set(backend.received) == {"/v1/chat/completions"}
        requests[faults] = sum(backend.received.values())
        # A greedy one and two requests of 16 choices for each of 6 canaries of 2 victims.
        assert backend.answered == 2 * 6 * (1 + 32)
        assert told[faults].spec.uses == 2 * 6 * (1 + 32)
        assert told[faults].cost["tokens_in"] * 2 == backend.tokens[0]
        assert told[faults].cost["tokens_out"] * 2 == backend.tokens[1] == 2 * 6 * (1 + 32) * 2
    np.testing.assert_array_equal(told[0.2].guess, told[0.0].guess)
    assert told[0.2].cost["tokens_in"] == told[0.0].cost["tokens_in"]
    assert requests[0.2] > requests[0.0] == 2 * 6 * 3
    direct = play(
        prefix_completion,
        planted(trained(), victims),
        params={"samples": 32},
        game_params=GAME,
    )
    # The draws are others, the leak is the same.
    chat, own = (measure(t).metrics["exposure"]["value"] for t in (told[0.0], direct))
    assert chat == pytest.approx(own, abs=0.75) and min(chat, own) > 4


def test_completions_and_chat_continue_as_the_model_itself_does() -> None:
    backend = Backend(codec(), {"small": trained()})
    prefixes = codec().encode(["Ada paints", "Bo sells", "Ada paints"])
    direct = trained().generate(prefixes, 6, -1)  # type: ignore[misc]
    with serving(backend) as url:
        for sampling in ("completions", "chat"):
            model = endpoint(url, "small", codec=codec(), sampling=sampling)  # type: ignore[arg-type]
            assert model.generate is not None
            np.testing.assert_array_equal(model.generate(prefixes, 6, -1), direct)
            drawn = model.generate(prefixes, 6, 5)
            np.testing.assert_array_equal(model.generate(prefixes, 6, 5), drawn)
            assert not np.array_equal(drawn[0], drawn[2]), "one prompt twice is two draws"
            assert not np.array_equal(model.generate(prefixes, 6, 6), drawn)
            assert model.generate(prefixes[:0], 6, 5).shape == (0, 6)


def test_what_an_endpoint_does_not_offer_is_denied_in_words() -> None:
    backend = Backend(codec(), {"small": trained()})
    with serving(backend) as url:
        model = endpoint(url, "small", codec=codec())
        with pytest.raises(NotOffered, match="does not offer moments, which this attack needs"):
            play(min_k_plus_plus, told_apart(model))
        with pytest.raises(NotOffered, match="does not offer query"):
            model.query(np.zeros((1, 2), int))
        mute = endpoint(url, "small", codec=codec(), scores=False)
        with pytest.raises(UsageError, match="log-probabilities, and texts gives generated text"):
            play(loss_threshold, told_apart(mute))
        with pytest.raises(UsageError, match="scores must be False where there is no codec"):
            endpoint(url, "small")
        assert set(endpoint(url, "small", scores=False).calls) == {"chat"}


def test_a_failure_that_does_not_pass_fails_the_row_and_is_no_answer() -> None:
    backend = Backend(codec(), {"small": trained()}, faults=1.0)
    with serving(backend) as url:
        model = endpoint(
            url, "small", codec=codec(), timeout=0.1, backoff=replace(QUICK, attempts=3)
        )
        with pytest.raises(RunError, match=r"failed 3 times, at last with: "):
            play(loss_threshold, told_apart(model))
    assert backend.answered == 0
    backend = Backend(codec(), {"small": trained()})
    with serving(backend) as url:
        # A body that the server cannot answer: its handler falls over for good, at every try.
        model = endpoint(url, "gone", codec=codec(), backoff=replace(QUICK, attempts=2))
        with pytest.raises(RunError, match=r"failed 2 times.*the connection was lost"):
            play(loss_threshold, told_apart(model))


def test_a_tokenizer_that_is_not_the_endpoints_is_told() -> None:
    other = text.codec(text.byte_pair("abc", 270))
    backend = Backend(codec(), {"small": trained()})
    with serving(backend) as url:
        model = endpoint(url, "small", codec=other)
        with pytest.raises(RunError, match="must split the text as the codec does, into"):
            play(loss_threshold, told_apart(model))


def test_identity_is_address_name_and_revision() -> None:
    where = "http://127.0.0.1:9/v1/"
    declared = endpoint(where, "m", codec=codec(), revision="2026-01-01")
    assert declared.identity == "http://127.0.0.1:9/v1 m 2026-01-01"
    assert endpoint(where, "m", codec=codec()).identity == ""
    assert not declared.deterministic


def test_a_whole_audit_of_an_endpoint_counts_what_the_endpoint_answered(
    strangers: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attack on texts, in two processes, on a bad line: each row is measured or says why."""
    del strangers
    from strangers.spoken import WORDS, texts  # type: ignore[import-not-found]

    from hartley.engine.assess import assess
    from hartley.engine.plan.plan import Plan
    from hartley.games.membership.membership import membership

    fit = membership.live(Modality.LANGUAGE, np.random.default_rng(0)).fit
    assert fit is not None
    rows = Data("members", Modality.LANGUAGE, WORDS.encode(list(texts("members").x)))
    known = fit(rows, np.ones((1, len(rows)), bool), 0).member(0)
    backend = Backend(WORDS, {"small": known}, faults=0.2)
    place = "hartley.attacks.model_to_data.membership."
    # A control of chains asks nothing.
    listed = [e for e in catalog.entries("attack") if e.module.startswith(place)]
    only = tuple(entry.name for entry in listed if not entry.control)
    plan = Plan(scene="spoken", only=only, workers=2, scenes={"spoken": {"revision": "1"}})
    store = tmp_path / "runs"
    with serving(backend) as url:
        monkeypatch.setenv("SPOKEN", url)
        monkeypatch.setenv("SPOKEN_KEY", "sk-s3cret")
        document = assess(plan, store=store)
        again = assess(plan, store=store)
    played = [row for row in document["channels"] if row["attack"] in only]
    failed = {row["attack"]: row["reason"] for row in played if row["status"] == "failed"}
    assert not failed, failed
    measured = {row["attack"]: row for row in played if row["status"] == "measured"}
    assert {"loss_threshold", "min_k", "zlib_ratio"} <= set(measured)
    assert measured["loss_threshold"]["bits"]["low"] > 0.3
    reasons = {row["attack"]: row["reason"] for row in played if row["status"] == "skipped"}
    assert reasons["min_k_plus_plus"] == "the model does not offer moments, which this attack needs"
    assert sum(row["uses"] for row in measured.values()) == backend.answered > 0
    asked = sum(row["cost"]["tokens_in"] for row in measured.values())
    assert asked == backend.tokens[0]
    assert sum(n for kind, n in backend.met.items() if kind) > 5 and backend.met["timeout"] == 1
    assert again == document, "a declared identity resumes, and nothing is asked again"
    assert backend.keys == {"Bearer sk-s3cret"}
    files = [path for path in store.rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"sk-s3cret" in path.read_bytes()]
