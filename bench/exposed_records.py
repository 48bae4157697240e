"""How often records are named although nothing leaks, who is found, and what intervals hold.

    python bench/exposed_records.py [deals]

Each deal is read by ten attacks, of which the report chooses one, as it does in a run. Dead: scores
that no coin has touched; the blind baseline's own, of records and labels alone; and Hartley's dead
scene of membership, played by three attacks. Live: 5 or 25 records leave a mark on scores, and the
others none.

Measured: named beyond chance in 0 of 300 (one victim), 2 of 300 (16 victims), 0 of 300 (blind) and
0 of 200 (dead scene). Of those named of 25 marked, 3.4 % are not marked (60 deals, standard error
0.5 %); with the attack chosen by its most extreme scores 10 %.

Then the coverage of the intervals of the records that are listed. What is estimated is the mean,
over victims yet to come, of the bits about this record that the reader of the *other* records
gains: it is computed from the laws that the scores are drawn from, without a draw. Printed is the
share of the listed intervals that do not hold it, and the same of the first five.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import beta, norm

import hartley
from hartley.channel.exposed_records import exposures, others
from hartley.channel.measure import measure
from hartley.core import ChannelSpec, Modality, Trials
from hartley.engine.result.document import measured
from hartley.games.membership.membership import dead
from hartley.report.worst_records import worst_records

ATTACKS = 10
Scores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def document(rows: list[Trials]) -> dict[str, Any]:
    """A run document of trials, one attack each."""
    channels = []
    for k, trials in enumerate(rows):
        name = f"{trials.attack}-{k}"
        common = {"id": name, "attack": name, "game": "membership", "class": "membership"}
        bits = measured(trials, measure(trials, redraws=1))
        channels.append({**common, "baseline": True, **bits})
    return {"channels": channels}


def trials(scores: Scores, planted: bool) -> Trials:
    """Trials of scores about the records of one pool."""
    truth, score, cluster, item = scores
    return Trials(
        spec=ChannelSpec(clustered=planted, planted=planted, unit="record"),
        truth=truth,
        guess=score,
        cluster=cluster,
        item=item,
        attack="a",
        game="membership",
        cls="membership",
        scene="simulated",
        sources=(("pool", 0),),
    )


def one_victim(
    rng: np.random.Generator, n: int = 300, marked: int = 0, size: float = 6.0
) -> list[Trials]:
    """Ten attacks on one model: n members and as many others, with a part of their noise shared."""
    truth, common = np.repeat([1, 0], n), rng.standard_normal(2 * n)
    out, order = [], rng.permutation(2 * n)
    for _ in range(ATTACKS):
        score = common + rng.standard_normal(2 * n)
        score[:marked] += size
        scores = (truth[order], score[order], np.zeros(2 * n, int), order)
        out.append(trials(scores, planted=False))
    return out


def many_victims(
    rng: np.random.Generator, victims: int = 16, n: int = 200, marked: int = 0, size: float = 3.0
) -> list[Trials]:
    """Ten attacks on models that each were trained on half of n records of unequal difficulty."""
    truth = rng.integers(0, 2, (victims, n))
    hard, common = 2.0 * rng.standard_normal(n), rng.standard_normal((victims, n))
    cluster, item = np.repeat(np.arange(victims), n), np.tile(np.arange(n), victims)
    out = []
    for _ in range(ATTACKS):
        score = hard + 0.7 * common + 0.7 * rng.standard_normal((victims, n))
        score[:, :marked] += size * truth[:, :marked]
        out.append(trials((truth.ravel(), score.ravel(), cluster, item), planted=True))
    return out


def blind(rng: np.random.Generator, n: int = 200) -> list[Trials]:
    """A cross-fitted classifier of records alone, on a random split."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import cross_val_predict

    x, truth = rng.standard_normal((2 * n, 8)), rng.permutation(np.repeat([1, 0], n))
    scores = cross_val_predict(RidgeClassifier(), x, truth, cv=5, method="decision_function")
    return [trials((truth, scores, np.zeros(2 * n, int), np.arange(2 * n)), planted=False)]


def scene(rng: np.random.Generator) -> list[Trials]:
    """The dead scene, played anew."""
    where = dead(Modality.TABULAR, rng)
    seed = int(rng.integers(2**31))
    rules = {"game_params": {"rounds": 8}, "seed": seed}
    attacks = ("loss_threshold", "calibrated_loss", "rmia")
    return [hartley.play(attack, where, **rules) for attack in attacks]


def named(deals: int, law: Callable[[np.random.Generator], list[Trials]]) -> str:
    """In how many deals a record is named beyond chance, with an exact upper end."""
    hits = 0
    for k in range(deals):
        worst = worst_records(document(law(np.random.default_rng(k))))
        hits += worst is not None and worst.beyond > 0
    return f"{hits} of {deals}, at most {beta.ppf(0.975, hits + 1, deals - hits):.3f}"


def found(deals: int, marked: int, law: Callable[[np.random.Generator], list[Trials]]) -> str:
    """Which share of the marked records are the first of the list, and how many are beyond."""
    first, beyond, false = [], [], []
    for k in range(deals):
        worst = worst_records(document(law(np.random.default_rng(k))))
        assert worst is not None
        first.append(np.mean([r.row < marked for r in worst.records[:marked]]))
        sure = [r.row < marked for r in worst.records if r.beyond_chance]
        beyond.append(sum(sure) / marked)
        false.append(1.0 - np.mean(sure) if sure else 0.0)
    return (
        f"{np.mean(first):.2f} of the marked head the list, {np.mean(beyond):.2f} are beyond "
        f"chance, and {np.mean(false):.3f} of those named are not marked"
    )


LAWS = {
    "dead": (lambda place: 0.0 * place, 1.0),
    "an eighth leaks": (lambda place: 3.0 * (place < 1 / 8), 1.0),
    "all leak, unequally": (lambda place: -np.log(place), 1.0),
    "an eighth leaks all, of one victim in five": (lambda place: 8.0 * (place < 1 / 8), 0.2),
}
"""For each law the shift of a record's score where it is a member, by its place in 0..1, and the
share of victims of which it is shifted."""


def covered(deals: int, law: str, victims: int, n: int) -> str:
    """The share of listed intervals that do not hold the truth, its standard error, the width."""
    law_of, often = LAWS[law]
    shift = law_of((np.arange(n) + 0.5) / n)
    missed, first, width = [], [], []
    for k in range(deals):
        rng = np.random.default_rng([k, victims])
        hard = rng.standard_normal(n)
        truth = rng.integers(0, 2, (victims, n))
        moved = truth * (rng.random((victims, n)) < often)
        score = hard + shift * moved + rng.standard_normal((victims, n))
        record = np.tile(np.arange(n), victims)
        scores = (truth.ravel(), score.ravel(), np.repeat(np.arange(victims), n), record)
        table = trials(scores, planted=True)
        listed = exposures(table)
        assert listed is not None
        fold, readers = others(truth.ravel(), score.ravel(), record, table)
        wrong = []
        for one in listed.records:
            reader, r = readers[fold[one.row]], one.row
            inside = norm.cdf(reader.edges - hard[r])
            leaks = norm.cdf(reader.edges - hard[r] - shift[r])
            bits = 0.0
            for secret, below in ((0, inside), (1, often * leaks + (1 - often) * inside)):
                chances = np.diff(np.concatenate([[0.0], below[:-1], [1.0]]))
                bits += float(chances @ reader.levels(secret)) / 2
            low = -np.inf if one.low is None else one.low
            high = np.inf if one.high is None else one.high
            wrong.append(not low <= bits <= high)
            width.append(high - low)
        missed.append(np.mean(wrong))
        first.append(np.mean(wrong[:5]))
    error = np.std(missed, ddof=1) / np.sqrt(deals)
    return (
        f"{np.mean(missed):.3f} ± {error:.3f} of {len(wrong)} listed miss the truth, of the first "
        f"five {np.mean(first):.3f}; width {np.median(width):.2f} bit (median)"
    )


def main() -> None:
    """Print the shares."""
    deals = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for law in LAWS:
        for n in (60, 200):
            for victims in (4, 8, 16, 64):
                print(f"{law}, {n} records, {victims} victims:", end=" ")
                print(covered(max(4, deals // 2), law, victims, n), flush=True)
    print("dead, one victim:", named(deals, one_victim), flush=True)
    print("dead, 16 victims:", named(deals, many_victims), flush=True)
    print("blind baseline:", named(deals, blind), flush=True)
    print("dead scene:", named(deals, scene), flush=True)
    few = max(4, deals // 10)
    print("one victim, 25 of 300 marked:", found(few, 25, lambda r: one_victim(r, marked=25)))
    print("one victim, 5 of 300 marked:", found(few, 5, lambda r: one_victim(r, marked=5)))
    print("16 victims, 5 of 200 marked:", found(few, 5, lambda r: many_victims(r, marked=5)))
    print("64 victims, 5 of 200:", found(few, 5, lambda r: many_victims(r, victims=64, marked=5)))


if __name__ == "__main__":
    main()
