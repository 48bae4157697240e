"""Waivers raise the limit of one row, until a day, and do nothing else."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from hartley.core.errors import UsageError
from hartley.engine.result.compare_runs import Side
from hartley.engine.result.gate import judge
from hartley.engine.result.judge_against import judge_against, with_limits
from hartley.engine.result.least import Least
from hartley.engine.result.waivers import read_waivers

TODAY = date(2026, 12, 1)
ONE = """[[waiver]]
row = "loss-1"
limit = "membership"
up_to = 0.4
owner = "Ada Example"
reason = "mended in the next release, ticket 12"
granted = 2026-11-20
expires = 2026-12-31
"""
ENOUGH = Least(attacks=("loss_threshold",))


def row(low=0.25, high=0.35, **more):
    lows = [[0.05, low], [0.01, low - 0.01], [0.001, low - 0.02]]
    bits = {"point": (low + high) / 2, "low": low, "high": high, "alpha": 0.05, "lows": lows}
    return {
        "id": "loss-1", "attack": "loss_threshold", "game": "membership", "class": "membership",
        "axis": "model_to_data", "status": "measured", "baseline": True, "bits": bits,
        "n": 1000, "clusters": 16, "alphabet": 2, **more,
    }  # fmt: skip


def document(*rows, **more):
    return {"id": "run", "version": "1", "scene": {"name": "s"}, "channels": [*rows],
            "created": "2026-12-01T00:00:00+00:00", **more}  # fmt: skip


@pytest.fixture
def waivers(tmp_path):
    def read(text=ONE, today=TODAY, **more):
        path = Path(tmp_path / "waivers.toml")
        path.write_text(text)
        return read_waivers(path, document(**more), today)

    return read


def judged(given, *rows, limit=0.1):
    return judge(document(*rows), {"membership": limit}, least=ENOUGH, waivers=given)


def test_a_waived_row_is_within_its_own_bits_and_says_so(waivers):
    assert judged(None, row()).status == "over"
    verdict = judged(waivers(), row())
    check = verdict.checks[0]
    assert check["status"] == "pass"
    assert check["at"] == 0.4
    assert "until 2026-12-31 by Ada Example: mended in" in check["reason"]
    dumped = verdict.dump()["waivers"]
    assert [(w["row"], w["state"], w["owner"]) for w in dumped] == [
        ("loss-1", "used", "Ada Example")
    ]


def test_a_leak_that_grows_beyond_it_is_over_again(waivers):
    assert judged(waivers(), row(0.45, 0.5)).status == "over"
    assert judged(waivers(), row(0.3, 0.5)).status == "inconclusive"


@pytest.mark.parametrize(
    "other",
    [
        {"status": "failed", "reason": "it stopped", "bits": None},
        {"flags": ["null arm reads 0.2 bit"]},
        {"bits": {"point": 0.3, "low": 0.25, "high": None, "alpha": 0.05}},
    ],
)
def test_it_never_covers_what_was_not_measured_well(waivers, other):
    assert judged(waivers(), {**row(), **other}).status != "pass"


def test_it_covers_no_other_row_and_no_other_limit(waivers):
    assert judged(waivers(), row(), {**row(), "id": "loss-2"}).status == "over"
    other = judge(document(row()), {"axis:model_to_data": 0.1}, least=ENOUGH, waivers=waivers())
    assert other.status == "over"
    assert any("names no row that was played" in reason for reason in other.reasons)


@pytest.mark.parametrize(
    ("today", "word"), [(date(2027, 1, 1), "expired on"), (date(2026, 11, 19), "is valid from")]
)
def test_outside_its_days_it_has_no_effect_and_that_is_said(waivers, today, word):
    given = waivers(today=today, created="2026-11-01T00:00:00+00:00")
    verdict = judged(given, row())
    assert verdict.status == "over"
    assert any(word in reason and "no effect" in reason for reason in verdict.reasons)


def test_its_last_day_is_whole_and_a_clock_that_was_set_back_helps_nobody(waivers):
    assert judged(waivers(today=date(2026, 12, 31)), row()).checks[0]["status"] == "pass"
    late = "2027-01-01T00:30:00+00:00"
    assert judged(waivers(created=late), row()).status == "over"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('owner = "Ada Example"\n', "", "must have owner"),
        ('reason = "mended in the next release, ticket 12"', 'reason = " "', "must have reason"),
        ("Ada Example", "\\u200b\\u2060", "must have owner"),
        ("Ada Example", "Ada\\rExample", "must have owner"),
        ("expires = 2026-12-31\n", "", "must have expires = a day"),
        ("expires = 2026-12-31", 'expires = "2026-12-31"', "must have expires = a day"),
        ("expires = 2026-12-31", "expires = 9999-12-31", "within 366 days"),
        ("expires = 2026-12-31", "expires = 2026-11-01", "within 366 days"),
        ("granted = 2026-11-20\n", "", "must have granted"),
        ("expires = 2026-12-31", 'expires = "2026-12-31"', "2027-01-31 without quotes"),
        ("up_to = 0.4", "up_to = inf", "up_to = a number"),
        ("up_to = 0.4", "up_to = true", "up_to = a number"),
        ("up_to = 0.4", f"up_to = {10**400}", "a number"),
        ("2026-11-20\nexpires = 2026-12-31", "9999-12-30\nexpires = 2026-12-31", "within 366 days"),
        ('owner = "Ada Example"', f"owner = {'[' * 9000}", "at most 64"),
        ("up_to = 0.4\n", "", "up_to = a number"),
        ("owner", "ownr", "did you mean owner?"),
        ("[[waiver]]", "[waiver]", "tables [[waiver]]"),
        ("[[waiver]]", "[[waivers]]", "tables [[waiver]]"),
        ("[[waiver]]", "[[waiver", "line 1"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(waivers, old, new, message):
    assert old in ONE
    with pytest.raises(UsageError) as caught:
        waivers(ONE.replace(old, new, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["*", "loss-*", "LOSS-1", "loss-1 ", "loss"])
def test_there_are_no_patterns(waivers, pattern):
    verdict = judged(waivers(ONE.replace("loss-1", pattern)), row())
    assert verdict.status == "over"
    assert [w["state"] for w in verdict.waivers] == ["unmatched"]
    assert any(f"the waiver of {pattern} under" in reason for reason in verdict.reasons)


def test_what_became_of_each_waiver_is_said(waivers):
    def state(given, *rows):
        return [w["state"] for w in judged(given, *rows).waivers]

    failed = {**row(), "status": "failed", "reason": "it stopped", "bits": None}
    assert state(waivers(), row()) == ["used"]
    assert state(waivers(), row(0.45, 0.5)) == ["not enough"]
    assert state(waivers(), failed) == ["not enough"]
    assert state(waivers(), row(0.0, 0.05)) == ["not needed"]
    # Fewer bits than the limit are not a limit of their own, and raise none.
    little = judged(waivers(ONE.replace("0.4", "0.05")), row())
    assert little.status == "over"
    assert [w["state"] for w in little.waivers] == ["not enough"]
    assert little.checks[0]["at"] == 0.1
    assert any("by Ada Example is not enough" in reason for reason in little.reasons)
    # Where the row's own words say it, nothing is said twice.
    assert not any("is not enough" in r for r in judged(waivers(), row(0.45, 0.5)).reasons)
    other = judged(waivers(ONE.replace('"membership"', '"memberships"')), row())
    assert any("did you mean membership?" in reason for reason in other.reasons)


def test_a_row_that_was_played_weaker_is_not_waived(waivers):
    least = Least(attacks=("loss_threshold",), counts={"uses": 5000})
    verdict = judge(document(row()), {"membership": 0.1}, least=least, waivers=waivers())
    assert verdict.status == "inconclusive"
    assert [w["state"] for w in verdict.waivers] == ["not enough"]


def test_a_row_that_is_gone_is_not_waived(waivers):
    other = {**row(0.0, 0.05), "id": "other-1", "attack": "rmia"}
    verdict = judged(waivers(), other)
    assert verdict.status == "inconclusive"
    assert [w["state"] for w in verdict.waivers] == ["unmatched"]


def test_a_row_beside_it_is_judged_at_the_level_of_as_many_rows(waivers):
    """Its lower bound settles one step less for the others: over may be open, never a pass."""
    beside = row(0.11, 0.2, id="loss-2")
    beside["bits"]["lows"] = [[0.05, 0.11], [0.01, 0.09]]
    without, with_it = (judged(w, row(), beside) for w in (None, waivers()))
    assert without.tested == with_it.tested == 2
    others = [c["status"] for v in (without, with_it) for c in v.checks if c.get("row") == "loss-2"]
    assert others == ["over", "inconclusive"]


def test_waivers_of_two_questions_at_once_are_told_apart(waivers):
    sides = [Side(document(r, seed=0), lambda _row: None) for r in (row(0.1, 0.12), row(0.3, 0.32))]
    both = waivers(ONE + ONE.replace('"membership"', '"against"').replace("Ada", "Bea"))
    limited = judge(sides[1].document, {"membership": 0.1}, least=ENOUGH, waivers=both)
    together = with_limits(limited, judge_against(*sides, waivers=both))
    assert together.status == "pass"
    assert [w["state"] for w in together.waivers] == ["used", "used"]
    assert sum("Bea Example" in reason for reason in together.reasons) == 1
    late = judge_against(*sides, waivers=waivers(both_text := ONE.replace("membership", "against"),
                                                 today=date(2027, 2, 1)))  # fmt: skip
    assert "expired on 2026-12-31" in " ".join(late.reasons) and both_text
    assert late.status == "over"


def test_a_weaker_attacker_in_the_comparison_is_not_waived(waivers):
    budget = {"kind": "plan", "name": "", "setting": "budget", "value": 10}
    first, second = row(0.3, 0.32), row(0.3, 0.32, departures=[budget])
    sides = [Side(document(r, seed=0), lambda _row: None) for r in (first, second)]
    wide = waivers(ONE.replace('"membership"', '"against"').replace("0.4", "1"))
    verdict = judge_against(*sides, waivers=wide)
    assert verdict.status == "inconclusive"
    assert any("weaker" in reason for reason in verdict.reasons)


def test_a_waiver_that_is_given_twice_is_refused(waivers):
    with pytest.raises(UsageError, match="one waiver"):
        waivers(ONE + ONE)


def test_more_than_in_the_last_release_is_waived_up_to_some_bits(waivers):
    sides = [Side(document(r, seed=0), lambda _row: None) for r in (row(0.1, 0.12), row(0.5, 0.52))]
    assert judge_against(*sides).status == "over"
    text = ONE.replace('"membership"', '"against"')
    assert judge_against(*sides, waivers=waivers(text)).status == "over"  # 0.42 bit more
    verdict = judge_against(*sides, waivers=waivers(text.replace("0.4", "0.5")))
    assert verdict.status == "pass"
    assert any("by Ada Example" in reason for reason in verdict.reasons)
    failed = Side(document({**row(), "status": "failed", "reason": "x"}), lambda _row: None)
    wide = waivers(text.replace("0.4", "1"))
    assert judge_against(sides[0], failed, waivers=wide).status == "inconclusive"


def test_the_command_reads_them_and_keeps_them(call, tmp_path):
    plan = 'scene = "live:membership"\nonly = ["loss_threshold"]\n[executor]\nworkers = 0\n'
    (tmp_path / "p.toml").write_text(plan)
    (tmp_path / "l.toml").write_text(
        "[limits]\nmembership = 0.1\n[limits.least]\nattacks = ['loss_threshold']\n"
    )
    call("assess", "p.toml", "--run", "r")
    words = ("gate", "r", "--limits", "l.toml")
    done = call(*words, "--json")
    assert done.returncode == 1
    played = json.loads(done.stdout)["checks"][0]["row"]
    text = ONE.replace("loss-1", played).replace("0.4", "1.0")
    text = text.replace("2026-11-20", datetime.now(UTC).date().isoformat())
    text = text.replace("2026-12-31", datetime.now(UTC).date().isoformat())
    (tmp_path / "w.toml").write_text(text)
    done = call(*words, "--waivers", "w.toml", "--save")
    assert done.returncode == 0
    assert "by Ada Example" in done.stdout
    page = call("report", "r", "--format", "md").stdout
    assert "Ada Example" in page
    assert "the waivers of w.toml" in page
    last = TODAY.today().isoformat()
    assert f"Pass, 1 limit waived until {last}" in page
    assert f"pass, 1 limit waived until {last}" in call("list", "runs").stdout
    log = json.loads(call("report", "r", "--format", "sarif").stdout)
    (result,) = [r for r in log["runs"][0]["results"] if r.get("suppressions")]
    assert (result["kind"], result["level"]) == ("fail", "note")
    assert "Ada Example" in result["suppressions"][0]["justification"]
    assert 'name="waiver" value="used: ' in call("report", "r", "--format", "junit").stdout
    # Without the file the row is over again, whatever was saved.
    assert call(*words).returncode == 1
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe.toml")
    for bad in ("none.toml", "p.toml", "runs", "binary.toml", "pipe.toml", "/dev/zero"):
        done = call(*words, "--waivers", bad)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
