"""Are the intervals of ``hartley defend`` right, and how long does a choice take?

    python bench/choice.py [--runs 200] [--seed 0]

Every run simulates a suite whose leaks are known: attacks that read a score of each secret bit, shifted by an amount
that differs from victim to victim, and five defenses (one of them two together) that make the shift smaller; secrets and
a part of the noise are the same in all cells, as in a run. The suite goes through ``measure``, ``which_defense`` and its draws of
victims. The table says how often an interval is wholly above or below the truth, which is known by integration.
The second table is the time of the linear programme and of the next measurement.
"""  # noqa: E501

from __future__ import annotations

import argparse
import time
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import beta, gamma, norm

from hartley.channel.measure import measure, point_of
from hartley.core import ChannelSpec, Trials
from hartley.engine.choice.which_defense import which_defense
from hartley.infotheory.coverage_index import attack_weights
from hartley.infotheory.decisions import minimax
from hartley.infotheory.next_measurement import next_measurements

USES = 64
CLASSES = ("membership", "membership", "exposure")
SHIFTS = {"attacks alike": (1.4, 1.4, 1.4)}
"""Shifts of the attacks without a defense; ``OTHERWISE`` in suites that are not named here."""
OTHERWISE = (2.0, 1.4, 1.0)
CHOSEN = "worst leak, of the chosen"
SUITES: dict[str, dict[str, tuple[str, float]]] = {
    # defense: term, factor of the shift behind it
    "bandwidth is better": {
        "b1": ("bandwidth", 0.3), "b2": ("bandwidth", 0.5), "n1": ("noise", 0.7),
        "s1": ("signal", 0.8), "b1+n1": ("bandwidth+noise", 0.2),
    },
    "all alike": {
        "b1": ("bandwidth", 0.6), "b2": ("bandwidth", 0.6), "n1": ("noise", 0.6),
        "s1": ("signal", 0.6), "b1+n1": ("bandwidth+noise", 0.45),
    },
    "nothing helps": {
        "b1": ("bandwidth", 1.0), "b2": ("bandwidth", 1.0), "n1": ("noise", 1.0),
        "s1": ("signal", 1.0), "b1+n1": ("bandwidth+noise", 1.0),
    },
    "attacks alike": {
        "b1": ("bandwidth", 0.6), "b2": ("bandwidth", 0.6), "n1": ("noise", 0.6),
        "s1": ("signal", 0.6), "b1+n1": ("bandwidth+noise", 0.6),
    },
}  # fmt: skip


def spread(rng: np.random.Generator, victims: int) -> np.ndarray:
    return rng.gamma(16.0, 1 / 16.0, victims)


@cache
def true_bits(shift: float) -> float:
    """The bits of one use to whoever reads all victims by one rule, which is what is measured.

    Who knew each victim's own shift would read 4 to 7 % more (the mean over victims of the bits of
    each): another quantity, which no interval of this one need hold.
    """
    factors = gamma.ppf((np.arange(400) + 0.5) / 400, 16.0, scale=1 / 16.0)
    x, step = np.linspace(-12.0, 24.0, 14_401, retstep=True)
    without = norm.pdf(x)
    within = norm.pdf(x - shift * factors[:, None]).mean(0)
    both = (without + within) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(p > 0, p * np.log2(p / both), 0.0) for p in (without, within)]
    return float(sum(parts).sum() * step / 2)


def suite(
    defenses: dict[str, tuple[str, float]],
    victims: int,
    rng: np.random.Generator,
    shifts: tuple[float, ...],
    *,
    ends: bool,
) -> tuple[dict[str, Any], dict[str, Trials]]:
    """A run document and its trials by row; ``ends`` where its intervals are read too."""
    n = victims * USES
    cluster = np.repeat(np.arange(victims), USES)
    trials: dict[str, Trials] = {}
    channels: list[dict[str, Any]] = []

    def row(attack: int, behind: str, knowledge: str, shift: float, shared: Any) -> dict[str, Any]:
        truth, victim, noise = shared
        score = shift * victim[cluster] * truth + 0.7 * noise + 0.71414 * rng.normal(size=n)
        name = f"a{attack}-{behind}-{knowledge}"
        trials[name] = Trials(
            ChannelSpec(clustered=True, alpha=0.05), truth, score, cluster=cluster
        )
        if ends:
            found = measure(trials[name])
            bits = {"point": found.bits.value, "low": found.bits.lower, "high": found.high}
        else:
            bits = dict.fromkeys(("point", "low", "high"), point_of(trials[name]))
        channels.append(
            {
                "id": name, "attack": f"a{attack}", "game": CLASSES[attack],
                "class": CLASSES[attack], "flow": "inferring", "term": "noise", "alphabet": 2,
                "ceiling": 1.0, "baseline": not behind, "status": "measured", "flags": [], "n": n,
                "rounds": victims, "bits": bits | {"alpha": 0.05},
            }
        )  # fmt: skip
        return channels[-1]

    shared = {
        game: (rng.integers(0, 2, n), spread(rng, victims), rng.normal(size=n))
        for game in dict.fromkeys(CLASSES)
    }
    bases = [row(a, "", "none", shift, shared[CLASSES[a]]) for a, shift in enumerate(shifts)]
    declared = []
    for name, (term, factor) in defenses.items():
        residual = {}
        for a, base in enumerate(bases):
            cells = {
                knowledge: row(a, name, knowledge, shifts[a] * factor * part, shared[CLASSES[a]])
                for knowledge, part in (("static", 0.9), ("adaptive", 1.0))
            }
            residual[base["id"]] = {
                "reason": None,
                "rows": {k: cell["id"] for k, cell in cells.items()},
                **{k: cell["bits"] for k, cell in cells.items()},
            }
        declared.append({"name": name, "term": term, "reason": None, "residual": residual,
                         "utility": {}})  # fmt: skip
    document = {"id": "simulated", "scene": {"name": "known"}, "channels": channels,
                "defenses": declared}  # fmt: skip
    return document, trials


def truth_of(defenses: dict[str, tuple[str, float]], shifts: tuple[float, ...]) -> dict[str, float]:
    before = np.array([true_bits(s) for s in shifts])
    weights = attack_weights(CLASSES)
    left = {
        name: np.array([true_bits(s * factor) for s in shifts])
        for name, (_, factor) in defenses.items()
    }
    covered = {name: np.clip(1 - bits / before, 0, 1) for name, bits in left.items()}
    values = {f"index of {name}": float(weights @ c) for name, c in covered.items()}
    gap = (covered["b1"] + covered["b2"] - covered["n1"] - covered["s1"]) / 2
    kappa = np.log2(left["b1+n1"] * before / (left["b1"] * left["n1"]))
    worst = {f"worst leak behind {name}": float(bits.max()) for name, bits in left.items()}
    return values | worst | {"bandwidth claim": float(weights @ gap), "κ": float(kappa[0])}


def run(name: str, victims: int, runs: int, seed: int, with_trials: bool) -> list[str]:
    defenses, shifts = SUITES[name], SHIFTS.get(name, OTHERWISE)
    truth = truth_of(defenses, shifts)
    above, below, widths = (dict.fromkeys([*truth, CHOSEN], 0.0) for _ in range(3))
    right = shares = 0.0
    best = min(v for k, v in truth.items() if k.startswith("worst"))
    for k in range(runs):
        rng = np.random.default_rng([seed, victims, k, *name.encode()])
        document, trials = suite(defenses, victims, rng, shifts, ends=not with_trials)
        load = (lambda row: trials[row["id"]]) if with_trials else None  # noqa: B023
        found = which_defense(document, load=load)
        ends = {f"index of {d['name']}": d["dci_hartley"] for d in found["defenses"]}
        ends |= {f"worst leak behind {d['name']}": d["worst"] for d in found["defenses"]}
        ends["bandwidth claim"] = found["bandwidth_claim"]["difference"]
        ends["κ"] = found["pairs"]["rows"][0]["interaction"]["a0"]
        # The truth about a choice is about what was chosen.
        ends[CHOSEN], truth[CHOSEN] = (
            found["choice"]["worst"],
            truth[f"worst leak behind {found['choice']['defense']}"],
        )
        for key, value in truth.items():
            low, high = ends[key]["low"], ends[key]["high"]
            above[key] += low is not None and low > value + 1e-9
            below[key] += high is not None and high < value - 1e-9
            widths[key] += 0.0 if None in (low, high) else (high - low) / runs
        choice = found["choice"]
        shares += choice["share_best"] / runs
        right += truth[f"worst leak behind {choice['defense']}"] <= best + 1e-9
    how = "victims" if with_trials else "intervals"
    groups: dict[str, list[str]] = {}
    for key in truth:
        kind = next((k for k in ("index", "worst leak behind") if key.startswith(k)), key)
        groups.setdefault(kind, []).append(key)
    lines = []
    for kind, keys in groups.items():
        n = runs * len(keys)
        up, down = (sum(of[key] for key in keys) for of in (above, below))
        lines.append(
            f"| {name} | {victims} | {how} | {kind} | {n} | {limits(up, n)} | {limits(down, n)} | "
            f"{np.mean([widths[key] for key in keys]):.3f} | {right / runs:.2f}, {shares:.2f} |"
        )
    return lines


def limits(count: float, n: int) -> str:
    """A share with Clopper–Pearson limits at 99 %."""
    k = int(count)
    low = 0.0 if k == 0 else beta.ppf(0.005, k, n - k + 1)
    high = 1.0 if k == n else beta.ppf(0.995, k + 1, n - k)
    return f"{k / n:.3f} ({low:.3f}–{high:.3f})"


def speed() -> None:
    rng = np.random.default_rng(0)
    print(
        "\n| attacks × defenses | linear programme, ms: median, most of 30 | next measurement, s |"
    )
    print("|---|---:|---:|")
    for a, d in ((15, 40), (40, 15), (20, 15)):
        seconds = []
        for _ in range(31):
            m, u = rng.random((a, d)), rng.random(d)
            start = time.process_time()
            minimax(m, u, 0.3)
            seconds.append(time.process_time() - start)
        draws = np.clip(rng.normal(rng.random((a, d)), 0.05, (2000, a, d)), 0, 1)
        start = time.process_time()
        next_measurements(draws, np.full((a, d), 100))
        last = time.process_time() - start
        first, *rest = seconds
        del first  # imports the solver
        print(f"| {a} × {d} | {1e3 * np.median(rest):.1f}, {1e3 * max(rest):.1f} | {last:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", default="12,32", help="of suites whose trials are at hand")
    parser.add_argument("--no-intervals", action="store_true", help="only suites with trials")
    options = parser.parse_args()
    counts = [(int(number), True) for number in options.victims.split(",")]
    if not options.no_intervals:
        counts.append((12, False))
    print(
        "| suite | victims | from | figure | intervals | above the truth (99 %) | below (99 %) | "
        "width | right choice, its share |"
    )
    print("|---|---:|---|---|---:|---:|---:|---:|---:|")
    for name in SUITES:
        for victims, with_trials in counts:
            for line in run(name, victims, options.runs, options.seed, with_trials):
                print(line, flush=True)
    speed()


if __name__ == "__main__":
    main()
