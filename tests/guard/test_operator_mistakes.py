"""What a tired operator does to a guard: files in the wrong place, a model that is down."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.guard.model_server import ModelServer, http
from tests.guard.served import SECRET, Served, config_at

from hartley.cli.guard import audit
from hartley.core.errors import UsageError
from hartley.guard.config import Secret
from hartley.guard.describe import described
from hartley.guard.ledger import open_ledger
from hartley.guard.replay import replay
from hartley.guard.serving import judges_of

LOG = Path(__file__).parent / "logs" / "litellm_payloads.jsonl"


@pytest.fixture
def model():
    with closing(ModelServer()) as server:
        yield server


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", SECRET)
    settings = config_at(tmp_path, 1)
    open_ledger(settings).close_now()
    return settings


@pytest.mark.parametrize("name", ["guard.toml", "guard.sqlite", "link", "hard"])
def test_an_export_of_the_audit_log_never_replaces_what_the_guard_needs(config, tmp_path, name):
    (tmp_path / "link").symlink_to(tmp_path / "guard.sqlite")
    (tmp_path / "hard").hardlink_to(tmp_path / "guard.sqlite")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match="which the guard needs"):
        audit(config.path, into=tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_an_audit_that_fails_leaves_the_export_from_earlier(config, tmp_path, capsys):
    export = tmp_path / "log.jsonl"
    audit(config.path, into=export)
    before = export.read_bytes()
    assert b"start" in before
    capsys.readouterr()
    assert audit(config.path, into=export, head="0" * 64) == 1
    out = capsys.readouterr()
    assert not out.out and "must have an entry with digest" in out.err
    assert export.read_bytes() == before


@pytest.mark.parametrize("name", ["guard.sqlite", "guard.toml", "link"])
def test_a_replay_is_not_charged_to_the_proxys_ledger(config, tmp_path, name):
    (tmp_path / "link").symlink_to(tmp_path / "guard.sqlite")
    with pytest.raises(UsageError, match="a ledger of exposures"):
        replay(config, [LOG], "litellm", str(tmp_path / name))
    with sqlite3.connect(tmp_path / "guard.sqlite") as base:
        assert base.execute("SELECT count(*) FROM requests").fetchone() == (0,)


def test_a_dry_run_says_what_declared_answers_would_be_charged(tmp_path):
    lines = list(described(config_at(tmp_path, 1, mode="dry-run")))
    assert any(line.startswith("model label: 1 bit an answer, NO GUARANTEE") for line in lines)
    decoy = '[[decoy]]\nname = "ward"\ncandidates = ["amber", "cobalt"]'
    lines = list(described(config_at(tmp_path, 1, more=decoy)))
    assert "decoy ward: one of 2 values is planted in each request" in "\n".join(lines)


def test_a_dry_run_logs_what_a_spent_budget_would_have_stopped(tmp_path, model, caplog):
    with closing(Served(config_at(tmp_path, model.port, mode="dry-run", budget=1.0))) as guard:
        for _ in range(3):
            guard.ask("label")
    assert sum('"would have refused"' in line for line in caplog.messages) == 2


@pytest.mark.parametrize("kind", ["status", "unreachable"])
def test_a_model_that_is_down_is_in_the_log_where_clients_do_not_see_it(
    tmp_path, model, caplog, kind
):
    caplog.set_level(logging.WARNING)
    model.reply = lambda _path, _body: [http(b'{"error": {}}', status="500 Oops")]
    port = model.port if kind == "status" else 1
    with closing(Served(config_at(tmp_path, port))) as guard:
        assert guard.ask("label")[0] == 200
    lines = [line for line in caplog.messages if "model failed" in line]
    assert len(lines) == 1
    assert f'"kind": "{kind}"' in lines[0]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["abcdefg"], "the text of secret 'a' must have at least 8 letters"),
        (["quartz-velvet-harpoon", "Velvet-Harpoon"], "one another, got 'a' and 'b'"),
    ],
)
def test_a_secret_that_cannot_be_searched_is_named_and_never_printed(tmp_path, texts, message):
    config = config_at(tmp_path, 1)
    rows = [Secret(name, text, 45.0) for name, text in zip("ab", texts, strict=False)]
    config = replace(config, secrets=tuple(rows))
    for check in (judges_of, lambda config: list(described(config))):
        with pytest.raises(UsageError, match=message) as caught:
            check(config)
        assert not any(text in str(caught.value) for text in texts)
