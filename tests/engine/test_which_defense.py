"""Which defense a run supports: the choice, the index, open cells, floors, the bandwidth claim."""

import json

import numpy as np
import pytest

from hartley.core import ChannelSpec, Trials
from hartley.core.errors import UnknownName, UsageError
from hartley.engine.choice.which_defense import which_defense

# of each attack its class, alphabet and what it reads without a defense
ATTACKS = {
    "loss": ("membership", 2, (0.8, 0.64, 0.9)),
    "lira": ("membership", 2, (0.4, 0.32, 0.5)),
    "knockoff": ("extraction", 4, (2.0, 1.8, 2.0)),
}
# of each defense its term, accuracy and for each attack the static and the adaptive attacker
DEFENSES = {
    "rounding": ("bandwidth", 0.95, {
        "loss": ((0.2, 0.1, 0.3), (0.4, 0.3, 0.5)),
        "lira": ((0.2, 0.1, 0.3), (0.2, 0.1, 0.3)),
        "knockoff": ((1.0, 0.8, 1.2), (1.5, 1.2, 1.6)),
    }),
    "label_only": ("bandwidth", 0.95, {
        "loss": ((0.1, 0.0, 0.2), (0.16, 0.0, 0.2)),
        "lira": ((0.1, 0.0, 0.2), None),
        "knockoff": ((1.2, 1.0, 1.4), (1.2, 1.0, 1.4)),
    }),
    "dp": ("noise", 0.80, {
        "loss": ((0.1, 0.0, 0.2), (0.2, 0.1, 0.3)),
        "lira": (None, None),
    }),
}  # fmt: skip


def row(name, *, point, behind="", knowledge="none", **more):
    cls, alphabet, _ = ATTACKS[name]
    return {
        "id": f"{name}-{behind}-{knowledge}",
        "attack": name,
        "game": cls,
        "class": cls,
        "flow": "inferring",
        "term": "noise",
        "alphabet": alphabet,
        "ceiling": np.log2(alphabet),
        "baseline": not behind,
        "status": "measured",
        "flags": [],
        "n": 400,
        "rounds": 16,
        "bits": dict(zip(("point", "low", "high"), point, strict=True)) | {"alpha": 0.05},
        **more,
    }


def document(defenses=None, **changes):
    channels = [row(name, point=point) for name, (_, _, point) in ATTACKS.items()]
    declared = []
    for name, (term, accuracy, cells) in (DEFENSES if defenses is None else defenses).items():
        residual = {}
        for attack, points in cells.items():
            entry = {"attack": attack, "reason": None, "rows": {}, "undefended": {}}
            for knowledge, point in zip(("static", "adaptive"), points, strict=True):
                entry[knowledge] = None
                if point is not None:
                    behind = row(attack, point=point, behind=name, knowledge=knowledge)
                    channels.append(behind)
                    entry[knowledge] = {**behind["bits"], "n": 400}
                    entry["rows"][knowledge] = behind["id"]
                else:
                    entry["reason"] = f"{knowledge}: it failed"
            residual[f"{attack}--none"] = entry
        figure = {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "n": 300}
        before = {"value": 0.96, "low": 0.94, "high": 0.98, "n": 300}
        utility = {"accuracy": {"before": before, "after": figure}}
        declared.append({"name": name, "term": term, "reason": None, "residual": residual,
                         "utility": utility})  # fmt: skip
    made = {"id": "a-run", "scene": {"name": "digits"}, "channels": channels, "defenses": declared}
    return made | changes


def test_the_choice_of_a_table_worked_by_hand():
    found = which_defense(document())
    best = found["choice"]
    # Shares of the secret: knockoff has 2 bits, so that 1.2 bit are 60 %.
    assert best["defense"] == "label_only" and best["worst_attack"] == "knockoff"
    assert best["worst"]["value"] == pytest.approx(0.6)
    assert (best["undefended"], best["undefended_attack"]) == (1.0, "knockoff")
    assert best["runner_up"]["defense"] == "rounding"
    assert best["runner_up"]["worst"] == pytest.approx(0.75)
    assert best["static_only"] == ["lira"] and not best["assumed"]
    assert best["share_best"] > 0.9 and sum(best["shares"].values()) == pytest.approx(1)
    assert best["price_of_determinism"] == pytest.approx(0.0, abs=1e-9)
    by_name = {row["name"]: row for row in found["defenses"]}
    index = by_name["rounding"]["dci_hartley"]
    # (½·(1 − .4/.8 + 1 − .2/.4) + 1 − 1.5/2)/2
    assert index["value"] == pytest.approx((0.5 + 0.25) / 2)
    assert index["low"] < index["value"] < index["high"]
    assert index["static"] == pytest.approx((0.5 * (0.75 + 0.5) + 0.5) / 2)
    assert found["matrix"][0]["objective"] == "safety"
    assert json.loads(json.dumps(found)) == found
    # Behind dp the two attacks of membership leave 0.2 and, being open, 0.4.
    membership = found["by_class"]["membership"]
    assert membership["defense"] == "label_only" and membership["undefended"] == 0.8
    assert membership["worst"]["value"] == pytest.approx(0.16)
    assert found["by_class"]["extraction"]["worst"]["value"] == pytest.approx(0.6)
    assert "without their trials" in found["intervals"]


def test_no_share_of_a_secret_is_above_1():
    # A wide interval of a leak of nearly all, of which a draw from two pieces goes beyond.
    wide = {"rounding": ("bandwidth", 0.9, {"knockoff": ((1.98, 0.4, 2.0), (1.98, 0.4, 2.0))})}
    result = which_defense(document(wide))
    for worst in (result["choice"]["worst"], result["defenses"][0]["worst"]):
        assert 0 <= worst["low"] <= worst["value"] <= worst["high"] <= 1


def test_missing_cells_are_never_a_leak_of_0():
    found = which_defense(document())
    states = {r["attack"]: r["behind"]["dp"]["state"] for r in found["matrix"]}
    assert states == {"loss": "measured", "lira": "open", "knockoff": "not claimed"}
    taken = {r["attack"]: r["behind"]["dp"]["taken"] for r in found["matrix"]}
    assert taken == {"loss": 0.2, "lira": 0.4, "knockoff": 1.0}  # as without the defense
    dp = next(row for row in found["defenses"] if row["name"] == "dp")
    assert dp["worst"]["value"] == 1.0 and dp["worst_attack"] == "knockoff"
    index = dp["dci_hartley"]
    assert index["open"] == ["lira"] and index["unclaimed"] == ["knockoff"]
    # loss 1 − .2/.8, lira open, extraction not claimed.
    assert index["value"] == pytest.approx(0.75 / 2)
    assert (index["least"], index["most"]) == (pytest.approx(0.75 / 4), pytest.approx(1.75 / 4))
    reasons = {(cell["attack"], cell["defense"]): cell for cell in found["open"]}
    assert reasons["lira", "dp"]["reason"] == "adaptive: it failed"
    assert reasons["lira", "label_only"]["state"] == "static only"


def test_floors():
    kept = which_defense(document(), floors={"": 0.9})
    assert kept["floors"] == {"accuracy": 0.9} and kept["choice"]["defense"] == "label_only"
    assert "dp" not in kept["choice"]["shares"]
    near = which_defense(document(), floors={"accuracy": 0.94})
    assert {row["name"]: row["near_floor"] for row in near["defenses"]}["rounding"] == ["accuracy"]
    with pytest.raises(UsageError, match=r"accuracy 0.97: the best is rounding with 0.95, without"):
        which_defense(document(), floors={"accuracy": 0.97})
    with pytest.raises(UsageError, match="did you mean accuracy"):
        which_defense(document(), floors={"acuracy": 0.9})
    unknown = document()
    for defense in unknown["defenses"]:
        defense["utility"] = {}
    with pytest.raises(UsageError, match="must name its metric"):
        which_defense(unknown, floors={"": 0.9})


def test_only_some_attacks_count():
    only = which_defense(document(), attacks=["membership"])
    assert only["relative_to_suite"] == ["loss", "lira"]
    assert only["choice"]["defense"] == "label_only" and only["choice"]["worst_attack"] == "loss"
    with pytest.raises(UnknownName, match="knockoff"):
        which_defense(document(), attacks=["knockof"])


def test_runs_without_a_choice():
    with pytest.raises(UsageError, match="got a-run without one"):
        which_defense(document(defenses={}))
    failed = {"dp": ("noise", 0.8, {"loss": (None, None)})}
    with pytest.raises(UsageError, match=r"at least one measured cell .*it failed"):
        which_defense(document(failed))
    unfit = document()
    unfit["defenses"][0]["reason"] = "it cannot be put into this scene"
    found = which_defense(unfit)
    assert found["left_out"] == {"rounding": "it cannot be put into this scene"}
    flagged = document()
    flagged["channels"][0]["flags"] = ["its null arm reads 0.1 bit"]
    found = which_defense(flagged)
    assert found["relative_to_suite"] == ["lira", "knockoff"]
    assert found["left_out"]["loss"].startswith("flagged without a defense")
    behind = document()
    for channel in behind["channels"]:
        if channel["id"] == "loss-rounding-adaptive":
            channel["flags"] = ["its null arm reads 0.1 bit"]
    cells = {r["attack"]: r["behind"]["rounding"] for r in which_defense(behind)["matrix"]}
    assert cells["loss"]["adaptive"] is None and cells["loss"]["state"] == "static only"


def test_the_next_measurement_is_one_that_may_change_the_choice():
    low = (0.05, 0.02, 0.08)
    better = DEFENSES | {"dp": ("noise", 0.8, {"loss": (low, low), "lira": (None, None)})}
    first = which_defense(document(better), attacks=["membership"])["next"][0]
    assert (first["attack"], first["defense"]) == ("lira", "dp") and first["state"] == "open"
    assert first["value"] > 0 and first["uses"] > 0
    settled = {
        name: ("noise", 0.9, {a: ((p, p - 0.01, p + 0.01),) * 2 for a in ("loss", "lira")})
        for name, p in (("strong", 0.1), ("weak", 0.3))
    }
    assert which_defense(document(settled), attacks=["membership"])["next"] == []


def test_the_bandwidth_claim_is_decided_by_the_numbers():
    def suite(bandwidth, noise, spread=0.02):
        cells = {
            name: (term, 0.9, {a: ((p * ATTACKS[a][2][0],) * 3,
                                   tuple(ATTACKS[a][2][0] * (p + d) for d in (0, -spread, spread)))
                               for a in ("loss", "lira")})
            for name, term, p in (("b", "bandwidth", bandwidth), ("n", "noise", noise))
        }  # fmt: skip
        made = document(cells)
        for channel in made["channels"]:
            if channel["baseline"]:
                channel["bits"] |= {
                    "low": channel["bits"]["point"],
                    "high": channel["bits"]["point"],
                }
        return which_defense(made)["bandwidth_claim"]

    yes, no, unsure = suite(0.2, 0.6), suite(0.6, 0.2), suite(0.4, 0.42, spread=0.1)
    assert (yes["status"], no["status"], unsure["status"]) == ("beats", "loses", "open")
    assert yes["difference"]["value"] == pytest.approx(0.4)
    assert yes["coverage"]["bandwidth"]["adaptive"] == pytest.approx(0.8)
    assert yes["difference"]["low"] > 0.3 and no["difference"]["high"] < -0.3
    assert yes["lost"]["low"] <= 0 <= yes["lost"]["high"]
    alone = {"b": ("bandwidth", 0.9, {"loss": ((0.1,) * 3, (0.1,) * 3)})}
    lacking = which_defense(document(alone))["bandwidth_claim"]
    assert lacking["status"] == "not measured"
    assert lacking["reason"] == "no attack was played adaptively behind a noise or signal defense"


def test_pairs_and_their_interaction():
    pair = {"rounding+dp": ("bandwidth+noise", 0.8, {
        "loss": ((0.1, 0.05, 0.15), (0.1, 0.05, 0.15)),
        "lira": ((0.1, 0.05, 0.15), (0.1, 0.05, 0.15)),
        "knockoff": ((1.0, 0.9, 1.1), (1.0, 0.9, 1.1)),
    })}  # fmt: skip
    found = which_defense(document(DEFENSES | pair))["pairs"]
    assert (found["best"], found["single"]) == ("rounding+dp", "label_only")
    assert found["greedy"] is None  # none of its pairs was played
    (played,) = found["rows"]
    # loss: log2((.1/.8)/((.4/.8)·(.2/.8)))
    assert played["interaction"]["loss"]["value"] == pytest.approx(0.0)
    assert set(played["interaction"]) == {"loss"}  # dp has no cell of the others
    assert set(found["unplayed"]) == {"rounding+label_only", "label_only+dp"}
    assert which_defense(document())["pairs"] is None


def test_trials_of_too_few_victims_say_so():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 120)
    trials = Trials(
        ChannelSpec(clustered=True), truth, rng.normal(size=120) + truth,
        cluster=np.repeat(np.arange(6), 20),
    )  # fmt: skip
    said = which_defense(document(), load=lambda row: trials)["intervals"]
    assert said.startswith("from the intervals of the 16 rows alone, since 16 of them have fewer")


def test_trials_give_intervals_over_victims():
    """The same coins and noise in all cells: what they share cancels in differences."""
    rng = np.random.default_rng(0)
    truth, noise = rng.integers(0, 2, 800), rng.normal(size=800)
    cluster = np.repeat(np.arange(16), 50)
    shifts = {"--none": 2.0, "-rounding-": 1.2, "-label_only-": 1.1, "-dp-": 0.8}

    def load(found):
        if found["attack"] != "loss":
            return None
        shift = next(s for part, s in shifts.items() if part in found["id"])
        return Trials(ChannelSpec(clustered=True), truth, noise + shift * truth, cluster=cluster)

    alone, with_trials = which_defense(document()), which_defense(document(), load=load)
    assert with_trials["intervals"].startswith("victims resampled in 7 of 16 rows")
    assert "(no trials)" in with_trials["intervals"]
    widths = [
        found["defenses"][1]["dci_hartley"]["high"] - found["defenses"][1]["dci_hartley"]["low"]
        for found in (alone, with_trials)
    ]
    assert widths[1] < widths[0]
    assert with_trials["choice"]["defense"] == alone["choice"]["defense"]
    again = which_defense(document(), load=load)
    assert again == with_trials


def test_cells_that_no_defense_claims_are_measured_and_do_not_decide_the_claim():
    """A defense that is played beside what it claims, and helps the attacker there."""
    cells = {
        "b": ("bandwidth", 0.9, {a: ((p, p, p),) * 2 for a, p in (("loss", 0.2), ("lira", 0.1))}),
        "n": ("noise", 0.9, {
            "loss": ((0.4, 0.4, 0.4),) * 2,
            "lira": ((0.4, 0.4, 0.4),) * 2,
            "knockoff": ((1.99, 1.98, 2.0), (1.99, 1.98, 2.0)),
        }),
    }  # fmt: skip
    made = document(cells)
    for channel in made["channels"]:
        point = channel["bits"]["point"]
        channel["bits"] |= {"low": point - 1e-3, "high": point + 1e-3}
    for channel in made["channels"]:
        if channel["attack"] == "knockoff" and channel["baseline"]:
            channel["bits"] = {"point": 1.0, "low": 0.98, "high": 1.02, "alpha": 0.05}
    claimed = which_defense(made)
    for defense in made["defenses"]:
        defense["protects"] = ["membership"]
    beside = which_defense(made)
    cell = next(r for r in beside["matrix"] if r["attack"] == "knockoff")["behind"]
    assert cell["n"]["state"] == "measured" and not cell["n"]["claimed"]
    assert cell["b"]["state"] == "not claimed" and not cell["b"]["claimed"]
    assert all(r["behind"]["b"]["claimed"] for r in beside["matrix"][:2])
    noise = next(row for row in beside["defenses"] if row["name"] == "n")
    assert noise["raises"] == ["knockoff"] and not beside["defenses"][0]["raises"]
    # What is measured decides the choice, whoever claims it: its leak is nearly all of the secret.
    assert noise["worst_attack"] == "knockoff" and beside["choice"]["defense"] == "b"
    claims = [found["bandwidth_claim"] for found in (claimed, beside)]
    assert claims[0]["everywhere"] is None
    assert claims[0]["difference"] == claims[1]["difference"]
    assert claims[1]["everywhere"] is not None


def test_principals_who_collude_undo_a_limit_once_all_questions_fit():
    cells = {"query_budget": ("bandwidth", 0.9, {
        "loss": ((0.2, 0.1, 0.3),) * 2, "lira": ((0.1, 0.0, 0.2),) * 2,
        "knockoff": ((0.5, 0.4, 0.6),) * 2,
    })}  # fmt: skip
    made = document(cells)
    made["defenses"][0] |= {"stage": "budget", "params": {"queries": 100}}
    asked = {"loss": 150, "lira": 350, "knockoff": 80}
    for channel in made["channels"]:
        channel["uses"] = asked[channel["attack"]] * channel["rounds"]
    (row,) = which_defense(made)["collusion"]
    assert (row["defense"], row["limit"], row["attacks"]) == ("query_budget", 100, 3)
    at_most = {limit["principals"]: limit["at_most"] for limit in row["limits"]}
    # Coverage .75 of each attack; knockoff asks less than the limit, which it is covered by anyway.
    assert at_most[1] == pytest.approx(0.75) and at_most[2] == pytest.approx(0.75 * 0.75)
    assert at_most[4] == at_most[100] == pytest.approx(0.75 * 0.5)
    assert row["limits"][2]["undone"] == ["loss", "lira"]
    made["defenses"][0]["stage"] = "output"
    assert which_defense(made)["collusion"] == []


def test_the_declared_list_says_what_the_run_has():
    declared = which_defense(document())["declared"]
    assert declared["origin"] == "Hartley's list, not the paper's"
    assert [(row["number"], row["parts"]) for row in declared["here"]] == [
        ("B2", ["rounding", "label_only"])
    ]
    assert [row["number"] for row in declared["open"]] == ["B3", "B4", "B5"]
    assert all(row["waits"] for row in declared["open"]) and len(declared["elsewhere"]) == 11


def test_a_defense_has_no_credit_for_what_it_does_not_claim():
    """It drops records that a game plants, say: that is no protection of real ones."""
    cells = {"n": ("noise", 0.9, {
        "loss": ((0.4, 0.35, 0.45),) * 2, "lira": ((0.2, 0.15, 0.25),) * 2,
        "knockoff": ((0.1, 0.0, 0.2),) * 2,
    })}  # fmt: skip
    made = document(cells)
    credited = which_defense(made)["defenses"][0]
    made["defenses"][0]["protects"] = ["membership"]
    found = which_defense(made)
    (row,) = found["defenses"]
    assert credited["dci_hartley"]["value"] == pytest.approx((0.5 + 0.95) / 2)
    assert row["dci_hartley"]["value"] == pytest.approx(0.5 / 2) and not row["raises"]
    assert (row["worst_attack"], row["worst"]["value"]) == ("knockoff", 1.0)
    cell = next(r for r in found["matrix"] if r["attack"] == "knockoff")["behind"]["n"]
    assert cell["static"]["value"] == pytest.approx(0.05) and cell["taken"] == 1.0
    assert not found["choice"]["assumed"] and found["choice"]["unmoved"] == ["knockoff"]
