"""Are the intervals of ``hartley defend RUN RUN2`` right: what a defense covers on two scenes, and the difference?

    python bench/transfer.py [--runs 100] [--seed 0]

Two scenes are simulated whose leaks are known. Each has victims of its own; attacks of two games read a score of each
secret bit, shifted by an amount that differs from victim to victim, and a defense makes the shift smaller by a factor that
may be another on the other scene. The second scene lacks the first one's third game, which must not count. Secrets and a part of
the noise are the same in all cells of a game, as in a run. Trials go through ``transfer``; the truth is known by integration.
The table says how often an interval is wholly above or below it.
"""  # noqa: E501

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from choice import USES, limits, spread, true_bits

from hartley.channel.measure import point_of
from hartley.core import ChannelSpec, Trials
from hartley.engine.choice.transfer import transfer
from hartley.infotheory.coverage_index import attack_weights


@dataclass(frozen=True)
class Place:
    """A scene whose leaks are known.

    Attributes:
        victims: in each game.
        attacks: (game, shift of the score) of each.
        factor: of the shift behind the defense.
    """

    victims: int
    attacks: tuple[tuple[str, float], ...]
    factor: float

    def truth(self, games: set[str]) -> float:
        counted = [(game, shift) for game, shift in self.attacks if game in games]
        covered = [1 - true_bits(s * self.factor) / true_bits(s) for _, s in counted]
        return float(attack_weights([game for game, _ in counted]) @ np.array(covered))


FIRST = (("membership", 2.0), ("membership", 1.4), ("evasion", 1.0), ("extraction", 3.0))
SECOND = (("membership", 1.6), ("evasion", 1.2), ("evasion", 0.9))
CASES = {
    "alike": (Place(12, FIRST[:3], 0.6), Place(12, FIRST[:3], 0.6)),
    "covers half as well": (Place(12, FIRST, 0.3), Place(12, SECOND, 0.75)),
    "few against many": (Place(8, FIRST, 0.7), Place(32, SECOND, 0.4)),
    "covers nothing": (Place(12, FIRST, 1.0), Place(12, SECOND, 1.0)),
}


def simulated(
    name: str, place: Place, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Trials]]:
    """A run document and its trials by row."""
    n = place.victims * USES
    cluster = np.repeat(np.arange(place.victims), USES)
    shared = {
        game: (rng.integers(0, 2, n), spread(rng, place.victims), rng.normal(size=n))
        for game in dict.fromkeys(game for game, _ in place.attacks)
    }
    trials: dict[str, Trials] = {}
    channels: list[dict[str, Any]] = []

    def row(k: int, behind: str, factor: float) -> dict[str, Any]:
        game, shift = place.attacks[k]
        truth, victim, noise = shared[game]
        score = (
            factor * shift * victim[cluster] * truth + 0.7 * noise + 0.71414 * rng.normal(size=n)
        )
        key = f"a{k}-{behind}"
        trials[key] = Trials(ChannelSpec(clustered=True, alpha=0.05), truth, score, cluster=cluster)
        bits = dict.fromkeys(("point", "low", "high"), point_of(trials[key])) | {"alpha": 0.05}
        channels.append(
            {
                "id": key, "attack": f"a{k}", "game": game, "class": game, "flow": "inferring",
                "term": "noise", "alphabet": 2, "ceiling": 1.0, "baseline": not behind,
                "status": "measured", "flags": [], "n": n, "rounds": place.victims, "bits": bits,
            }
        )  # fmt: skip
        return channels[-1]

    residual = {}
    for k in range(len(place.attacks)):
        bare = row(k, "", 1.0)
        # What the static attacker reads is never more than what the adaptive one does.
        cells = {
            "static": row(k, "static", 0.9 * place.factor),
            "adaptive": row(k, "adaptive", place.factor),
        }
        residual[bare["id"]] = {
            "reason": None,
            "rows": {knowledge: cell["id"] for knowledge, cell in cells.items()},
            **{knowledge: cell["bits"] for knowledge, cell in cells.items()},
        }
    declared = {"name": "d", "term": "noise", "reason": None, "residual": residual, "utility": {}}
    document = {
        "id": name, "scene": {"name": name, "modality": "vision"}, "channels": channels,
        "defenses": [declared],
    }  # fmt: skip
    return document, trials


def run(case: str, runs: int, seed: int) -> list[str]:
    places = CASES[case]
    common = set.intersection(*({game for game, _ in place.attacks} for place in places))
    truth = [place.truth(common) for place in places]
    truth.append(truth[1] - truth[0])
    above, below = np.zeros(3), np.zeros(3)
    widths = np.zeros(3)
    for k in range(runs):
        rng = np.random.default_rng([seed, k, *case.encode()])
        made = [simulated(str(at), place, rng) for at, place in enumerate(places)]
        loads = [lambda found, trials=trials: trials[found["id"]] for _, trials in made]
        (pair,) = transfer([document for document, _ in made], loads)["defenses"][0]["pairs"]
        assert set(pair["games"]) == common
        ends = [*(place["coverage"] for place in pair["scenes"]), pair["difference"]]
        for at, (end, value) in enumerate(zip(ends, truth, strict=True)):
            above[at] += end["low"] > value + 1e-9
            below[at] += end["high"] < value - 1e-9
            widths[at] += (end["high"] - end["low"]) / runs
    names = ("coverage on the first", "coverage on the second", "difference")
    return [
        f"| {case} | {places[0].victims}, {places[1].victims} | {figure} | {truth[at]:.3f} | {runs}"
        f" | {limits(above[at], runs)} | {limits(below[at], runs)} | {widths[at]:.3f} |"
        for at, figure in enumerate(names)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| case | victims | figure | truth | intervals | above the truth (99 %) | below (99 %) | "
        "width |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        for line in run(case, options.runs, options.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
