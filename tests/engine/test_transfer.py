"""Whether a defense covers on one scene what it covers on another."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hartley.core import ChannelSpec, Trials
from hartley.core.errors import UsageError
from hartley.engine.choice.transfer import transfer


def _row(attack, game, point, behind="", knowledge="none"):
    return {
        **{"id": f"{attack}-{behind}-{knowledge}", "attack": attack, "game": game, "class": game},
        **{"flow": "inferring", "term": "noise", "alphabet": 2, "ceiling": 1.0},
        **{"baseline": not behind, "status": "measured", "flags": [], "n": 400, "rounds": 16},
        "bits": {"point": point, "low": point - 0.02, "high": point + 0.02, "alpha": 0.05},
    }


def _run(name, modality, cells, before=0.8):
    """A run whose cells are {defense: {(attack, game): leak of both attackers}}."""
    bare = {key: _row(*key, before) for row in cells.values() for key in row}
    channels, declared = list(bare.values()), []
    for defense, row in cells.items():
        residual = {}
        for (attack, game), point in row.items():
            rows = {}
            for knowledge in ("static", "adaptive"):
                behind = _row(attack, game, point, defense, knowledge)
                channels.append(behind)
                rows[knowledge] = behind
            residual[f"{attack}--none"] = {
                **{"attack": attack, "reason": None},
                **{k: r["bits"] | {"n": 400} for k, r in rows.items()},
                "rows": {k: r["id"] for k, r in rows.items()},
            }
        declared.append(
            {"name": defense, "term": "bandwidth", "reason": None, "residual": residual,
             "utility": {}, "params": {"digits": 1}}
        )  # fmt: skip
    return {
        **{"id": name, "scene": {"name": name, "modality": modality}},
        **{"channels": channels, "defenses": declared},
    }


LOSS, LIRA, PGD = ("loss", "membership"), ("lira", "membership"), ("pgd", "evasion")


def test_a_defense_is_compared_on_the_games_of_both_scenes():
    one = _run(
        "pictures", "vision", {"rounding": {LOSS: 0.2, LIRA: 0.4, PGD: 0.0}, "jpeg": {PGD: 0.1}}
    )
    two = _run("sounds", "audio", {"rounding": {LOSS: 0.6}, "dp": {LOSS: 0.1}})
    table = transfer([one, two], [None, None])
    (row,) = table["defenses"]
    (pair,) = row["pairs"]
    assert (row["defense"], pair["games"]) == ("rounding", ["membership"])
    first, second = pair["scenes"]
    # The mean of 1 − .2/.8 and 1 − .4/.8; evasion is of one scene alone.
    assert first["coverage"]["value"] == pytest.approx(0.625) and first["coverage"]["n"] == 2
    assert second["coverage"]["value"] == pytest.approx(0.25) and second["modality"] == "audio"
    assert pair["missing"] == [{"run": "pictures", "games": ["evasion"]}]
    gap = pair["difference"]
    assert gap["value"] == pytest.approx(-0.375)
    assert gap["low"] < gap["value"] < gap["high"] < 0
    assert table["alone"] == ["jpeg", "dp"] and json.loads(json.dumps(table)) == table


def test_a_third_scene_takes_no_game_from_the_other_two():
    runs = [
        _run("a", "vision", {"rounding": {LOSS: 0.2, PGD: 0.4}}),
        _run("b", "audio", {"rounding": {LOSS: 0.2, PGD: 0.4}}),
        _run("c", "graph", {"rounding": {LOSS: 0.4}}),
        _run("d", "text", {"rounding": {("typo", "poisoning"): 0.4}}),
    ]
    (row,) = transfer(runs, [None] * 4)["defenses"]
    pairs = {"".join(place["run"] for place in pair["scenes"]): pair for pair in row["pairs"]}
    assert list(pairs) == ["ab", "ac", "ad", "bc", "bd", "cd"]
    assert pairs["ab"]["games"] == ["evasion", "membership"] and not pairs["ab"]["missing"]
    assert pairs["ab"]["scenes"][0]["coverage"]["value"] == pytest.approx((0.75 + 0.5) / 2)
    assert pairs["ab"]["difference"]["value"] == pytest.approx(0)
    assert pairs["bc"]["games"] == ["membership"]
    assert pairs["bc"]["difference"]["value"] == pytest.approx(0.5 - 0.75)
    # Two scenes without a common game are said to have none.
    assert pairs["cd"]["games"] == [] and pairs["cd"]["difference"] is None
    assert [side["games"] for side in pairs["cd"]["missing"]] == [["membership"], ["poisoning"]]


def test_runs_without_a_common_defense_are_refused():
    one = _run("a", "vision", {"rounding": {LOSS: 0.2}})
    other = _run("b", "audio", {"dp": {LOSS: 0.2}})
    apart = _run("c", "audio", {"rounding": {PGD: 0.2}})
    with pytest.raises(UsageError, match="a has rounding; b has dp"):
        transfer([one, other], [None, None])
    with pytest.raises(UsageError, match="on a common game: a has rounding; c has rounding"):
        transfer([one, apart], [None, None])
    with pytest.raises(UsageError, match="at least 2 runs, got 1"):
        transfer([one], [None])
    # What is measured beside what the defense claims says nothing of the defense's transfer.
    one["defenses"][0]["protects"] = ["evasion"]
    with pytest.raises(UsageError, match="on a common game"):
        transfer([one, _run("d", "audio", {"rounding": {LOSS: 0.2}})], [None, None])


def test_the_interval_of_a_difference_holds_both_scenes():
    """Noise of 16 victims a scene; both scenes are alike, and the difference is 0 in truth."""
    rng = np.random.default_rng(1)
    trials = {}
    for scene in ("a", "b"):
        truth, noise = rng.integers(0, 2, 800), rng.normal(size=800)
        for part, shift in (("--none", 2.0), ("-rounding-", 1.0)):
            trials[scene, part] = Trials(
                ChannelSpec(clustered=True), truth, noise + shift * truth,
                cluster=np.repeat(np.arange(16), 50),
            )  # fmt: skip

    def load_of(scene):
        return lambda row: trials[
            scene, next(p for s, p in trials if s == scene and p in row["id"])
        ]

    runs = [_run(s, "vision", {"rounding": {LOSS: 0.2}}, before=0.6) for s in ("a", "b")]
    table = transfer(runs, [load_of("a"), load_of("b")])
    assert all(run["intervals"].startswith("victims resampled in all") for run in table["runs"])
    pair = table["defenses"][0]["pairs"][0]
    (first, second), gap = pair["scenes"], pair["difference"]
    assert gap["value"] == pytest.approx(0) and gap["low"] < 0 < gap["high"]
    widths = [e["high"] - e["low"] for e in (first["coverage"], second["coverage"], gap)]
    assert widths[2] == pytest.approx(np.hypot(*widths[:2]), rel=0.15)
