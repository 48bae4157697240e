"""``hartley measure`` on other tools' results: named columns, rates, and what a user gets wrong."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from tests.importers import written_files as write

from hartley.importers.measured import Options, imported
from hartley.importers.named_columns import Names
from hartley.importers.read_results import names


def lossy(folder, heading="member,loss,victim", words=("1", "0")):
    """A table of losses: members have smaller ones."""
    rng = random.Random(3)
    lines = [heading]
    for row in range(400):
        member = rng.getrandbits(1)
        lines.append(f"{words[1 - member]},{rng.gauss(-member, 0.7):.6f},{row % 40}")
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_are_named_by_flags(call, tmp_path):
    lossy(tmp_path)
    done = call("measure", "t.csv", "--truth=member", "--score=loss", "--json")
    assert done.returncode == 0
    row = json.loads(done.stdout)
    by_name = "a smaller `loss` means truth 1 by its name (else: --larger-is-member)"
    assert by_name in row["assumptions"]
    assert row["metrics"]["auc"]["value"] > 0.75 and row["clusters"] == 400
    other = call(
        "measure", "t.csv", "--truth=member", "--score=loss", "--larger-is-member", "--json"
    )
    assert json.loads(other.stdout)["metrics"]["auc"]["value"] < 0.25
    done = call("measure", "t.csv", "--truth=member", "--score=loss", "--cluster=victim", "--json")
    assert json.loads(done.stdout)["clusters"] == 40
    lossy(tmp_path, "member,confidence,victim")
    done = call("measure", "t.csv", "--truth", "member", "--score", "confidence")
    assert "a larger `confidence` means truth 1 (else: --smaller-is-member)" in done.stdout
    done = call(
        "measure", "t.csv", "--truth=member", "--score=confidence", "--smaller-is-member", "--json"
    )
    assert json.loads(done.stdout)["bits"]["point"] == row["bits"]["point"]


@pytest.mark.parametrize(
    "words", [("member", "non-member"), ("in", "out"), ("Train", "Test"), ("true", "false")]
)
def test_memberships_may_be_words(tmp_path, words):
    options = Options(Names(truth="member", score="loss"))
    expected = imported(lossy(tmp_path), options).trials
    trials = imported(lossy(tmp_path, words=words), options).trials
    assert (trials.truth == expected.truth).all() and (trials.guess == expected.guess).all()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--truth membr --score loss", "--truth must name a column, got 'membr'"),
        ("--truth membr --score loss", "did you mean member?"),
        ("--truth member --score Loss", "did you mean loss?"),
        ("--truth member", "got columns member, loss, victim; name it with --score loss?"),
        ("", "got columns member, loss, victim; name it with --truth member?"),
        ("--truth victim --guess member --smaller-is-member", "must come with a score, got a g"),
        ("--rate --success member --by attack", "--by must name a column, got 'attack'"),
        ("--truth victim --score loss", "`truth` must be 0 or 1, got 2"),
        ("--truth keep.npy --score loss", "keep.npy"),
        ("--from gark", "did you mean garak?"),
        ("--from garak", "--from garak must come with this: garak report (.report.jsonl)"),
        ("--from lira_experiments", "the file's content is of another kind"),
        ("--rate", "one column that says which attempts succeeded"),
        ("--rate --success loss", "`loss` must be true or false, 1 or 0, or a share"),
        ("--rate --success nothing", "--success must name a column"),
        ("--truth member --score loss --tries 0", "--tries must be a whole number"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(call, tmp_path, flags, words):
    lossy(tmp_path)
    done = call("measure", "t.csv", *flags.split())
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done


def jailbreaks(folder, clusters=50, size=4):
    rng = random.Random(5)
    rows = []
    for prompt in range(clusters):
        chance = rng.betavariate(1, 3)
        rows += [
            {"behavior": f"b{prompt}", "attempt": k, "jailbroken": rng.random() < chance}
            for k in range(size)
        ]
    return write.jsonl(folder / "jailbreaks.jsonl", rows), rows


def test_a_rate_of_attempts_is_not_called_bits(call, tmp_path):
    path, rows = jailbreaks(tmp_path)
    done = call("measure", path.name, "--rate")
    assert done.returncode == 0
    assert "not bits" in done.stdout and "betting over clusters" in done.stdout
    assert "attempts of one `behavior` belong together, by its name" in done.stdout
    done = call("measure", path.name, "--rate", "--cluster", "behavior", "--json")
    document = json.loads(done.stdout)
    by_name = json.loads(call("measure", path.name, "--rate", "--json").stdout)
    assert by_name["rates"] == document["rates"]
    (rate,) = document["rates"]
    assert rate["value"] == np.mean([row["jailbroken"] for row in rows])
    assert (rate["n"], rate["clusters"], document["is_bits"]) == (200, 50, False)
    assert rate["low"] < rate["value"] < rate["high"]
    assert document["quantity"] == "share of attempts whose `jailbroken` is true"
    write.jsonl(path, [row | {"row": n} for n, row in enumerate(rows)])
    done = call("measure", path.name, "--rate", "--cluster", "row", "--json")
    (narrow,) = json.loads(done.stdout)["rates"]
    assert narrow["method"].startswith("Clopper–Pearson")
    assert rate["high"] - rate["low"] > narrow["high"] - narrow["low"]


def test_neighbours_that_succeed_together_are_asked_about(call, tmp_path):
    rng = random.Random(1)
    runs = [rng.random() < 0.3 for _ in range(60)]
    together = [{"success": hit} for hit in runs for _ in range(4)]
    question = "neighbouring attempts succeed and fail together (p = "
    for rows, asks in ((together, True), (rng.sample(together, 240), False)):
        write.jsonl(tmp_path / "a.jsonl", rows)
        assert (question in call("measure", "a.jsonl", "--rate").stdout) is asks
    write.jsonl(tmp_path / "a.jsonl", sorted(together, key=str))
    assert question not in call("measure", "a.jsonl", "--rate").stdout


def test_a_list_of_objects_is_a_table_and_may_be_split(call, tmp_path):
    _, rows = jailbreaks(tmp_path)
    (tmp_path / "j.json").write_text(json.dumps(rows, indent=1))
    done = call("measure", "j.json", "--rate", "--by", "attempt", "--json")
    split = json.loads(done.stdout)["rates"]
    assert [(rate["name"], rate["n"], rate["clusters"]) for rate in split] == [
        (str(k), 50, 50) for k in range(4)
    ]
    whole = json.loads(call("measure", "j.json", "--rate", "--json").stdout)["rates"]
    lines = json.loads(call("measure", "jailbreaks.jsonl", "--rate", "--json").stdout)["rates"]
    assert whole == lines
    odd = [*rows, {"behavior": "b0", "jailbroken": "perhaps"}]
    (tmp_path / "j.json").write_text(json.dumps(odd))
    assert "got 'perhaps'" in call("measure", "j.json", "--rate").stderr


def test_a_separator_is_asked_about(call, tmp_path):
    (tmp_path / "s.csv").write_text("member;loss\n1;0.5\n0;1.5\n")
    for flags in (["--truth", "member", "--score", "loss"], []):
        assert "is it separated by ';'?" in call("measure", "s.csv", *flags).stderr


def test_a_table_of_outcomes_asks_for_rate(call, tmp_path):
    path, _ = jailbreaks(tmp_path)
    done = call("measure", path.name)
    assert done.returncode == 2 and "measure it as a success rate with --rate" in done.stderr


def test_tries_make_all_rates_hold_together(call, tmp_path):
    rows = [write.promptfoo_row(n, n % 3 > 0, plugin=f"p{n % 4}") for n in range(80)]
    write.promptfoo(tmp_path / "o.json", rows)
    done = call("measure", "o.json")
    assert "each of 4 intervals holds alone; --tries 4 makes all hold together" in done.stdout
    alone = json.loads(call("measure", "o.json", "--json").stdout)["rates"]
    together = json.loads(call("measure", "o.json", "--json", "--tries", "4").stdout)["rates"]
    assert [r["name"] for r in alone] == [f"openai:chat:test / p{k}" for k in range(4)]
    for one, other in zip(alone, together, strict=True):
        assert other["low"] < one["low"] < one["high"] < other["high"]
        assert other["alpha"] == one["alpha"] / 4
    done = call("measure", "o.json", "--only", "p2", "--json")
    assert json.loads(done.stdout)["rates"] == [alone[2]]
    assert "it has openai" in call("measure", "o.json", "--only", "p9").stderr


def test_options_that_do_not_fit_the_file(call, tmp_path):
    path = write.sacroml(tmp_path)
    for flags, words in {
        "--rate": "says which records were members; leave it out",
        "--score loss": "--score must come with a plain table, got a file of sacroml",
        "--truth keep.npy": "a file of memberships comes with an .npy array",
    }.items():
        done = call("measure", path.name, *flags.split())
        assert done.returncode == 2 and words in done.stderr, done.stderr
    np.save(tmp_path / "s.npy", np.zeros((3, 4)))
    assert "add --truth keep.npy" in call("measure", "s.npy").stderr
    write.garak(tmp_path / "g.jsonl", [[1.0]])
    for flags in ("--smaller-is-member", "--pieces=2", "--encoding=latin-1", "--by=probe"):
        done = call("measure", "g.jsonl", flags)
        assert f"{flags.partition('=')[0]} must come with a plain table" in done.stderr, done
    for name in names():
        done = call("measure", "g.jsonl", "--from", name)
        assert (done.returncode == 0) == (name == "garak") and "Traceback" not in done.stderr


def test_a_single_model_is_measured_as_that_model(call, tmp_path):
    path = write.sacroml(tmp_path)
    done = call("measure", path.name)
    assert done.returncode == 0 and "one audited model: given it" in done.stdout
    row = json.loads(call("measure", path.name, "--json").stdout)
    assert row["bits"]["low"] > 0.1 and row["planted"] is False
