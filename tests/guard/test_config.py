"""The configuration of the guard: what it reads, and one clear line for each mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hartley.core.errors import UsageError
from hartley.guard.config import read_config

KEY = hashlib.sha256(b"a token").hexdigest()
GOOD = f"""
[guard]
upstream = "http://127.0.0.1:8000/v1"
[[principal]]
name = "alice"
key_sha256 = "{KEY}"
group = "acme"
[group.acme]
budget_bits = 44.0
[[secret]]
name = "password"
text_env = "PASSWORD"
entropy_bits = 64
[[answers]]
model = "classifier"
allowed = ["yes", "no"]
otherwise = "no"
[[decoy]]
name = "ward"
candidates = ["amber", "birch", "cedar", "delta"]
"""
ENV = {"PASSWORD": "correct horse battery"}


def written(folder: Path, text: str) -> Path:
    path = folder / "guard.toml"
    path.write_text(text)
    return path


def test_a_file_is_read_and_defaults_let_nothing_through(tmp_path):
    config = read_config(written(tmp_path, GOOD), ENV)
    assert (config.host, config.port, config.mode) == ("127.0.0.1", 8700, "dry-run")
    assert config.outage == "refuse"
    assert not config.log_prompts
    assert config.groups["acme"].budget_bits == 44.0
    assert config.principals["alice"].group == "acme"
    assert config.form_of("classifier").otherwise == "no"
    assert config.form_of("other") is None
    assert config.ledger == str(tmp_path / "guard.sqlite")
    assert "horse" not in repr(config)


def test_an_account_without_a_group_is_one_by_itself(tmp_path):
    text = GOOD.replace('group = "acme"\n', "")
    config = read_config(written(tmp_path, text), ENV)
    assert config.principals["alice"].group == "alice"
    assert config.groups["alice"].budget_bits is None


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("upstream =", "upstraem =", "must not have 'upstraem'; did you mean upstream?"),
        ("[guard]", "[gaurd]", "must not have 'gaurd'; did you mean guard?"),
        ("budget_bits = 44.0", "budget_bits = -1", "must be a number of at least 0, got -1"),
        ("budget_bits = 44.0", "budget_bits = nan", "must be a number of at least 0, got nan"),
        ("budget_bits = 44.0", "budget_bits = true", "must be a number of at least 0, got True"),
        ('group = "acme"', 'group = "acne"', "a group that the file has; did you mean acme?"),
        (KEY, "a token", "the 64 hexadecimal digits that `hartley guard token` prints"),
        ("http://127.0.0.1:8000/v1", "http://model.test/v1", "allow_host = "),
        ("http://127.0.0.1:8000/v1", "ftp://127.0.0.1/", "url must be http"),
        ('["yes", "no"]', '["yes", "yes"]', "a list of distinct texts"),
        ('otherwise = "no"', 'otherwise = "perhaps"', "one of the allowed answers"),
        ("entropy_bits = 64", "entropy_bits = 8", "a number in 40..168, got 8"),
        ("entropy_bits = 64", "entropy_bits = 6400", "a number in 40..168, got 6400"),
        ('text_env = "PASSWORD"', 'text = "abc"', "must not have 'text'"),
        ("PASSWORD", "PASSWROD", "an environment variable that is set, got 'PASSWROD'"),
        ('"delta"', '"amberly"', "texts of which none is part of another"),
        ('"delta"', '"AMBER"', "texts that differ in more than capitals"),
        ("[guard]", '[guard]\nlisten = "0.0.0.0:80"', "unless allow_remote = true"),
        ("[guard]", '[guard]\nlisten = "here"', "HOST:PORT"),
        ("[guard]", '[guard]\nmode = "enforced"', "one of dry-run, enforce; did you mean enforce?"),
        ("[guard]", "[guard]\nmax_body = 1e9", "max_body in [guard] must be a whole number"),
        ("[guard]", "[guard", "line 2, column"),
        ("[guard]", '[guard]\nledger = "postgresql:/db"', "a file, or postgresql://"),
        ("8000/v1", "8000/v1/chat/completions", "the model's address as far as /v1"),
        ("127.0.0.1:8000", "127.0.0.1:8700", "another address than that of listen"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, line, instead, message):
    assert line in GOOD
    with pytest.raises(UsageError) as caught:
        read_config(written(tmp_path, GOOD.replace(line, instead, 1)), ENV)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert str(tmp_path / "guard.toml") in text
    assert "horse" not in text


def test_two_accounts_with_one_key_are_refused(tmp_path):
    again = f'[[principal]]\nname = "bob"\nkey_sha256 = "{KEY}"\n'
    with pytest.raises(UsageError, match="'alice' has this one"):
        read_config(written(tmp_path, GOOD + again), ENV)


def test_a_guarantee_for_free_text_needs_a_secret(tmp_path):
    start, end = GOOD.index("[[secret]]"), GOOD.index("[[answers]]")
    text = GOOD[:start] + "[free_text]\nguarantee = true\n" + GOOD[end:]
    with pytest.raises(UsageError, match="must have a"):
        read_config(written(tmp_path, text), ENV)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "none.toml", ENV)


def test_free_text_is_refused_only_where_answers_are_declared(tmp_path):
    text = GOOD + "[free_text]\nallowed = false\n"
    assert not read_config(written(tmp_path, text), ENV).free_text.allowed
    start, end = text.index("[[answers]]"), text.index("[[decoy]]")
    with pytest.raises(UsageError, match=r"must have \[\[answers\]\]"):
        read_config(written(tmp_path, text[:start] + text[end:]), ENV)
