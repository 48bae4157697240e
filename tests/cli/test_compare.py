"""``hartley compare``: worse, no worse or open, with the exit code of each."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.engine.result.compare_runs import Side, compare_runs

PLAN = """scene = "live:membership"
only = ["loss_threshold", "entropy_metrics"]
deployed = [{}]
[executor]
workers = 0
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run, the same with rounded answers, and the same with other coins."""
    store = tmp_path_factory.mktemp("store") / "runs"
    plain, rounded = (parse(PLAN.format(d), source="plan.toml") for d in ("", '"rounding"'))
    runs = {"old": plain, "rounded": rounded, "other": replace(plain, seed=1)}
    return store, {name: assess(p, store=store, run=name) for name, p in runs.items()}


@pytest.fixture
def stored(call, played, tmp_path):
    shutil.copytree(played[0], tmp_path / "runs")
    return tmp_path / "runs"


def test_a_row_of_fewer_reference_models_says_so(played):
    _, runs = played
    of = {n: {**runs["old"], "channels": [{**r, "id": f"{r['attack']}-{n}", "cost": {"models": n}}
              for r in runs["old"]["channels"] if r["status"] == "measured"]}
          for n in (64, 2)}  # fmt: skip
    compared = compare_runs(*(Side(of[n], lambda row: None) for n in (64, 2)))
    notes = [row["matched"] for row in compared["rows"]]
    assert notes and all("models trained by the attacker 64 → 2" in note for note in notes)


def _of_models(document, models, **params):
    rows = [
        {**row, "cost": {"models": models / row["rounds"]}, "params": {**row["params"], **params}}
        for row in document["channels"]
        if row["status"] == "measured"
    ]
    return _alone({**document, "channels": rows})


def _budgeted(document, budget):
    departure = {"kind": "plan", "name": "", "setting": "budget", "value": budget}
    return _changed(document, "loss_threshold", departures=[departure])


def _played_with(document, **params):
    (row,) = [row for row in document["channels"] if row["attack"] == "loss_threshold"]
    (stage,) = row["experiment"]["stages"]
    stages = [{**stage, **{k: {**stage[k], **v} for k, v in params.items()}}]
    experiment = {**row["experiment"], "stages": stages}
    return _changed(document, "loss_threshold", experiment=experiment)


def test_a_weaker_second_attacker_is_never_no_worse(played):
    """A model seems to leak less where fewer reference models were trained against it."""
    old = played[1]["old"]
    strong, weak = _of_models(old, 64), _of_models(old, 8)
    compared = compare_runs(strong, weak, margin=1.0)
    words = "the second attacker was weaker: it trained 8 reference models, the other 64"
    assert compared["status"] == "open"
    assert f"loss_threshold: {words}" in compared["reasons"]
    assert compare_runs(weak, strong, margin=1.0)["status"] == "no worse"
    # Each of 16 victims may have had its own: the attacker of one is as strong with 64 as with 512.
    alike = _of_models(old, 512, references=64), _of_models(old, 64, references=64)
    assert compare_runs(*alike, margin=1.0)["status"] == "no worse"
    for document, other, words in (
        (_budgeted(old, 10), old, "it was allowed 10 queries, the other any number"),
        (_budgeted(old, 10), _budgeted(old, 20), "it was allowed 10 queries, the other 20"),
        (
            _played_with(old, params={"floor": 0.1}),
            old,
            "it played with floor = 0.1, the other with 1e-06",
        ),
        (
            _played_with(old, game_params={"mislabelled": 0.0}),
            _played_with(old, game_params={"mislabelled": 0.5}),
            "it played with mislabelled = 0.0, the other with 0.5",
        ),
    ):
        compared = compare_runs(_alone(other), _alone(document), margin=1.0)
        (reason,) = compared["reasons"]
        assert compared["status"] == "open" and reason.endswith(words), reason


def test_a_weaker_first_attacker_is_named_where_the_second_reads_more(played):
    few, many = (
        _of_models(
            {**run, "channels": [{**row, "bits": {**row["bits"], **ends}} for row in rows]}, models
        )
        for run in [played[1]["old"]]
        for rows in [[row for row in run["channels"] if row["status"] == "measured"]]
        for models, ends in (
            (8, {"point": 0.01, "low": 0.0, "high": 0.02}),
            (64, {"point": 0.9, "low": 0.85, "high": 0.95}),
        )
    )
    compared = compare_runs(few, many)
    assert compared["status"] == "worse"
    reasons = compared["reasons"]
    words = "but the first attacker was weaker: it trained 8 reference models, the other 64"
    assert reasons and all(reason.endswith(words) for reason in reasons)


def test_a_scene_of_the_users_own_that_reads_less_is_a_weaker_attacker(played):
    old = {**played[1]["old"], "scene": {"name": "tuned"}}
    whole, cut = (
        {**old, "plan": {"scene": "own_texts", "scenes": {"own_texts": {"longest": longest}}}}
        for longest in (1024, 64)
    )
    (reason, _) = compare_runs(_alone(whole), _alone(cut), margin=1.0)["reasons"]
    assert reason.endswith("weaker: it played with longest = 64, the other with 1024")
    assert compare_runs(_alone(cut), _alone(whole), margin=1.0)["status"] == "no worse"


def test_the_same_run_is_no_worse(call, stored):
    done = call("compare", "old", "old")
    assert done.returncode == 0, done.stderr
    assert "verdict: no worse" in done.stdout
    assert "the same answers" in done.stdout


def test_a_defense_that_is_taken_away_is_worse(call, stored):
    back = call("compare", "rounded", "old", "--json")
    assert back.returncode == 1, back.stderr
    comparison = json.loads(back.stdout)
    rows = {row["attack"]: row for row in comparison["rows"]}
    assert rows["entropy_metrics"]["status"] == "worse"
    assert rows["entropy_metrics"]["difference"]["paired"]
    assert "deployed defenses rounding → none" in rows["entropy_metrics"]["matched"]
    assert rows["loss_threshold"]["status"] == "no worse"
    assert comparison["reasons"] == [f"entropy_metrics: {rows['entropy_metrics']['reason']}"]
    forth = call("compare", "old", "rounded")
    assert forth.returncode == 0
    assert "better" in forth.stdout


def test_other_coins_are_not_paired_and_may_stay_open(call, stored):
    done = call("compare", "old", "other")
    assert done.returncode == 3
    assert "not paired: 16 and 16 victims" in done.stdout
    assert "seed: 0 → 1" in done.stdout
    wide = call("compare", "old", "other", "--margin", "0.2")
    assert wide.returncode == 0


def test_documents_without_trials_are_compared_by_their_intervals(call, stored):
    shutil.copy(stored / "other/run.json", "copy.json")
    done = call("compare", "old", "copy.json")
    assert done.returncode == 3
    assert "from the two intervals alone" in done.stdout
    assert "without the journal" in done.stderr


def test_mistakes_are_one_line(call, stored):
    assert call("compare", "old", "nosuch").returncode == 2
    assert "--margin must be a share" in call("compare", "old", "old", "--margin", "2").stderr
    trials = next((stored / "other/trials").iterdir())
    trials.write_bytes(b"")
    damaged = call("compare", "old", "other")
    assert damaged.returncode == 2
    assert "must be intact" in damaged.stderr


def _changed(document, attack, **fields):
    rows = [row | fields if row["attack"] == attack else row for row in document["channels"]]
    return {**document, "channels": rows}


def _alone(document):
    return Side(document, lambda row: None)


def test_what_is_missing_failed_or_flagged_is_open(played):
    old = played[1]["old"]
    without = [row for row in old["channels"] if row["attack"] != "loss_threshold"]
    gone = compare_runs(_alone(old), _alone({**old, "channels": without}), margin=1.0)
    assert gone["status"] == "open"
    assert "loss_threshold: only in the first run" in gone["reasons"]
    more = compare_runs(_alone({**old, "channels": without}), _alone(old), margin=1.0)
    assert more["status"] == "no worse"
    assert [row["attack"] for row in more["only_second"]] == ["loss_threshold"]
    failed = _changed(old, "loss_threshold", status="failed", reason="crashed")
    flagged = _changed(old, "loss_threshold", flags=["its null arm reads 0.2 bit"])
    for document, words in ((failed, "failed in old: crashed"), (flagged, "flagged in old")):
        comparison = compare_runs(_alone(old), _alone(document), margin=1.0)
        assert comparison["status"] == "open"
        assert any(words in reason for reason in comparison["reasons"])


def test_utility_is_beside_where_both_runs_have_it(played):
    old = played[1]["old"]
    defense = {"name": "x", "utility": {"accuracy": {"before": {"value": 0.9}, "after": None}}}
    worth = compare_runs(
        *(
            _alone({**old, "defenses": [defense], "scene": {**old["scene"], "facts": facts}})
            for facts in ({"test perplexity": 12.0}, {"test perplexity": 14.0})
        )
    )["utility"]
    assert worth["accuracy"]["first"] == {"value": 0.9}
    assert worth["test perplexity"]["second"]["value"] == 14.0


def test_a_measured_table_does_not_differ_from_itself(call, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("old", "new"):
        truth = rng.integers(0, 2, 300)
        score = rng.normal(truth, 1.0)
        rows = "\n".join(f"{t},{s!r}" for t, s in zip(truth, score.tolist(), strict=True))
        (tmp_path / f"{name}.csv").write_text(f"truth,score\n{rows}\n")
    shutil.copy("old.csv", "copy.csv")
    for name in ("old", "new", "copy"):
        (tmp_path / f"{name}.json").write_text(call("measure", f"{name}.csv", "--json").stdout)
    itself = call("compare", "old.json", "old.json")
    assert itself.returncode == 0 and "0 [0, 0]" in itself.stdout
    assert "old.json is compared with itself" in itself.stderr
    copied = call("compare", "old.json", "copy.json")
    assert copied.returncode == 0 and "the same rows, measured alike" in copied.stdout
    other = call("compare", "old.json", "new.json")
    assert other.returncode == 3 and "from the two intervals alone" in other.stdout
    assert "matched as tables: old → new" in other.stdout
    # Of an earlier version, which wrote no digest, equal numbers do not show one table.
    undigested = json.loads((tmp_path / "old.json").read_text()) | {"rows_digest": None}
    (tmp_path / "undigested.json").write_text(json.dumps(undigested))
    assert call("compare", "undigested.json", "old.json").returncode == 3


def test_a_copy_without_trials_of_the_same_play_does_not_differ(call, stored):
    shutil.copy(stored / "old/run.json", "copy.json")
    done = call("compare", "old", "copy.json")
    assert done.returncode == 0, done.stdout
    assert "the same play, measured alike" in done.stdout
