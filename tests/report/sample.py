"""A run document with everything a report must cope with. Its numbers are made up."""

from __future__ import annotations

from typing import Any

from tests.report.rows import extract, failed, jam, poison, score, skipped, symbol

OVER = "membership: lira_online is at least 0.214 bit, over the limit 0.1"
WITHIN = "membership: loss_threshold is at most 0.058 bit, within the limit 0.1"
STRADDLES = "membership: rmia is flagged: its null arm reads 0.041 bit"
KEPT = "extraction: knockoff is at most 2.99 bit, within the limit 3"
CRASHED = "extraction: last_layer failed: answered with NaN <b>twice</b>"


def document() -> dict[str, Any]:
    """Return a fresh document: measured, skipped, failed rows, a jam, defences, a failed gate."""
    made: dict[str, Any] = {
        "schema": "hartley.run/2",
        "id": "2026-11-22T005500-digits-7f3a",
        "created": "2026-11-22T00:55:00+00:00",
        "version": "0.1.0",
        "seed": 7,
        "scene": {"name": "digits", "digest": "5b1f" * 16, "modality": "vision"},
        "plan": {"scene": "digits", "only": None, "seed": 7, "limits": {"membership": 0.1}},
        "host": {
            "python": "3.11.7",
            "system": "Linux x86_64",
            "processors": 2,
            "threads": 1,
            "device": "cpu",
            "versions": {"numpy": "2.4.6", "scipy": "1.17.1"},
        },
        "notes": ["the pack fashion-mnist is not here; digits were used"],
        "channels": [
            jam("jpeg", 0.871, 0.842, 0.893, params={"quality": 35}),
            jam("regeneration", 0.412, 0.371, 0.455, params={"strength": 0.4}),
            symbol("substitution_break", 3.917, 3.604, 4.052, ceiling=4.7004, n=780),
            symbol("aes_gcm_control", 0.0, 0.0, 0.004, ceiling=4.7004, n=780),
            poison("badnets", 3.104, 2.846, 3.251, n=320),
            poison("label_flip", 0.088, 0.0, 0.161, n=320),
            score("loss_threshold", 0.041, 0.019, 0.058, d=0.48),
            score("lira_online", 0.262, 0.214, 0.301, d=1.31, access=["scores", "train"]),
            score(
                "rmia",
                0.231,
                0.187,
                0.272,
                d=1.2,
                access=["scores", "train"],
                flags=["its null arm reads 0.041 bit"],
            ),
            extract("knockoff", 2.912, 2.815, 2.99, n=1797),
            skipped("canary_exposure", "memorization", "model_to_data", "the scene has no corpus"),
            failed("last_layer", "extraction", "model_to_model", "answered with NaN <b>twice</b>"),
        ],
        "edges": [
            {
                "from": "knockoff",
                "to": "lira_online",
                "gain": 0.93,
                "low": 0.81,
                "high": 1.07,
                "queried": True,
            }
        ],
        "loops": [],
        "weakest_cut": None,
        "defenses": [rounding(), dp_sgd()],
        "choice": None,
        "verdict": {
            "status": "over",
            "reasons": [OVER, STRADDLES, CRASHED, WITHIN, KEPT],
            "checks": [
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "lira_online",
                    "status": "over",
                    "reason": OVER,
                },
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "rmia",
                    "status": "inconclusive",
                    "reason": STRADDLES,
                },
                {
                    "limit": "membership",
                    "at": 0.1,
                    "attack": "loss_threshold",
                    "status": "pass",
                    "reason": WITHIN,
                },
                {
                    "limit": "extraction",
                    "at": 3.0,
                    "attack": "knockoff",
                    "status": "pass",
                    "reason": KEPT,
                },
                {
                    "limit": "extraction",
                    "at": 3.0,
                    "attack": "last_layer",
                    "status": "inconclusive",
                    "reason": CRASHED,
                },
            ],
        },
    }
    return _with_ids(made)


def row_id(attack: str) -> str:
    return f"{attack}-0a1b2c"


def _with_ids(made: dict[str, Any]) -> dict[str, Any]:
    for row in made["channels"]:
        stage = {
            "attack": row["attack"],
            "params": row.get("params") or {},
            "game": row["game"],
            "game_params": {},
            "slot": None,
        }
        known = {"stages": [stage], "defenses": [], "knowledge": "none", "replicate": 0}
        row |= {"id": row_id(row["attack"]), "baseline": True, "baseline_id": None, "added": None}
        row |= {"experiment": known, "loot": row.get("loot")}
    for check in made["verdict"]["checks"]:
        check["row"] = row_id(check["attack"])
    for one in made["defenses"]:
        one["residual"] = {
            row_id(attack): {**left, "attack": attack} for attack, left in one["residual"].items()
        }
        one["coverage"] = {row_id(attack): share for attack, share in one["coverage"].items()}
    return made


def _b(point: float, low: float, high: float, n: int = 8000) -> dict[str, Any]:
    return {"point": point, "low": low, "high": high, "n": n}


def rounding() -> dict[str, Any]:
    return {
        "name": "output_rounding",
        "term": "bandwidth",
        "stage": "output",
        "params": {"decimals": 1},
        "protects": ["membership", "extraction"],
        "utility": {
            "test_accuracy": {
                "before": {"value": 0.972, "low": 0.951, "high": 0.986, "n": 360},
                "after": {"value": 0.968, "low": 0.945, "high": 0.983, "n": 360},
            }
        },
        "residual": {
            "lira_online": {
                "undefended": _b(0.262, 0.214, 0.301),
                "static": _b(0.121, 0.092, 0.15),
                "adaptive": _b(0.173, 0.14, 0.205),
                "reason": "",
            },
            "knockoff": {
                "undefended": _b(2.912, 2.815, 2.99, 1797),
                "static": _b(2.706, 2.59, 2.8, 1797),
                "adaptive": None,
                "reason": "no adaptive form of this attack is known to Hartley",
            },
        },
        "coverage": {
            "lira_online": {"point": 0.34, "low": 0.04},
            "knockoff": {"point": 0.07, "low": 0.0},
        },
        "relative_to_suite": True,
    }


def dp_sgd() -> dict[str, Any]:
    return {
        "name": "dp_sgd",
        "term": "noise",
        "stage": "training",
        "params": {"epsilon": 1.0},
        "protects": ["membership"],
        "utility": {
            "test_accuracy": {
                "before": {"value": 0.972, "low": 0.951, "high": 0.986, "n": 360},
                "after": {"value": 0.871, "low": 0.832, "high": 0.903, "n": 360},
            },
            "nats_per_token": {
                "before": {"value": -3.1, "low": None, "high": None, "n": None},
                "after": None,
            },
        },
        "residual": {
            "lira_online": {
                "undefended": _b(0.262, 0.214, 0.301),
                "static": _b(0.003, 0.0, 0.011),
                "adaptive": _b(0.004, 0.0, 0.012),
                "reason": "",
            }
        },
        "coverage": {"lira_online": {"point": 0.985, "low": 0.944}},
        "relative_to_suite": True,
    }
