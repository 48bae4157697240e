"""Fixtures of the command line's tests."""

from types import SimpleNamespace

import pytest

from hartley.cli.main import run


@pytest.fixture
def call(strangers, capsys, tmp_path, monkeypatch):
    """The command in this process, in an empty folder: a new one would import all of it anew."""
    monkeypatch.chdir(tmp_path)

    def called(*words):
        code = run(words)
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return called
