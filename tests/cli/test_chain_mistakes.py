"""A chain that cannot be played is the user's mistake: one line, exit 2, as for one attack."""

from __future__ import annotations

import pytest

from hartley.cli.chain import chain
from hartley.cli.main import run
from hartley.core.errors import UsageError


def test_an_attack_of_other_records_is_refused_before_anything_is_played(tmp_path, capsys):
    for attacks in (("mislabelled_copies", "lira"), ("mislabelled_copies", "loss_threshold")):
        with pytest.raises(UsageError) as error:
            chain(*attacks, scene="live:membership:language", workers=0, store=tmp_path)
        assert str(error.value).startswith("mislabelled_copies cannot be in a chain on live")
        assert "it plays vision, audio, tabular" in str(error.value)
    assert not list(tmp_path.glob("*/trials/*")) and "done" not in capsys.readouterr().err


def test_what_the_parts_refuse_is_a_line_and_exit_2(tmp_path, capsys):
    code = chain(
        *("mislabelled_copies", "loss_threshold"),
        scene="live:membership:tabular",
        set_=["membership.targets=100000"],
        workers=0,
        store=tmp_path,
    )
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    reasons = [line for line in lines if line.startswith("hartley: ")]
    assert any("the chain 'mislabelled_copies+loss_threshold' cannot be" in r for r in reasons)
    assert all("128 records of the pool" in reason for reason in reasons)


def test_what_cannot_follow_or_be_a_control_is_said_before_anything_is_played(tmp_path, capsys):
    for words, more in [
        (("knockoff", "label_flip"), "nearest that fits: hartley chain"),
        (("mislabelled_copies", "knockoff", "pgd"), "names no records that mislabelled_copies can"),
        (("knockoff", "pgd", "--against", "surogate"), "did you mean surrogate"),
        (("knockoff", "pgd", "--against", "noise_records"), "model as knockoff, got records"),
        (("knockoff", "pgd"), "must have a control (--against surrogate): needs gradients"),
    ]:
        settings = ["--scene", "digits", "--store", str(tmp_path), "--workers", "0"]
        assert run(["chain", *words, *settings]) == 2
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.startswith("hartley: ") and more in line
    assert not list(tmp_path.iterdir())
