"""How often a gate is over on canaries of which nothing leaks, and of which exactly the limit does.

    python bench/canary_gate.py [audits]

An audit is one training that is asked for 201 canaries by four attacks, each with scores of its
own. Dead: scores that no coin has touched. At the limit: randomised response, whose ε is 1.
Measured over 400 audits each: over in 5 (ε), 0 (min-capacity) and 4 (both, with two memorization
rows) dead ones and in 6 at the limit, where 20 may; canaries whose scores are one standard
deviation higher when planted were over ε = 0.5 in 40 of 40. About two minutes.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from hartley.channel.measure import measure
from hartley.core import AnswerForm, ChannelSpec, Trials
from hartley.engine.result.document import measured
from hartley.engine.result.gate import judge

CANARIES, ATTACKS = 201, 4


def row(name: str, truth: np.ndarray, guess: np.ndarray, codes: int = 2) -> dict[str, Any]:
    """The row of an attack on one training: scores, or ranks among ``codes`` candidates."""
    form = AnswerForm.SCORE if codes == 2 else AnswerForm.RANK
    game = "membership" if codes == 2 else "memorization"
    trials = Trials(
        spec=ChannelSpec(form=form, alphabet=codes, clustered=True, unit="canary"),
        truth=truth,
        guess=guess,
        cluster=np.zeros(len(truth), int),
        attack=name,
        game=game,
        cls=game,
        scene="canaries",
    )
    common = {"id": name, "baseline": True, "attack": name, "game": game, "class": game}
    return {**common, "departures": [], **measured(trials, measure(trials, redraws=1))}


def audit(seed: int, epsilon: float, shift: float = 0.0, ranks: int = 0) -> dict[str, Any]:
    """A run document: scores of randomised response at ε, or of a Gaussian shift."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, CANARIES)
    rows = []
    for k in range(ATTACKS):
        if epsilon:
            right = rng.random(CANARIES) < 1.0 / (1.0 + math.exp(-epsilon))
            score = np.where(right, truth, 1 - truth).astype(float)
        else:
            score = rng.standard_normal(CANARIES) + shift * truth
        rows.append(row(f"attack {k}", truth, score))
    drawn = np.zeros(100, int)
    rows += [row(f"rank {k}", drawn, rng.integers(1, 101, 100), 100) for k in range(ranks)]
    return {"channels": rows}


def over(count: int, limits: dict[str, float], **law: Any) -> str:
    """How many of so many audits are over."""
    statuses = [judge(audit(1000 + k, **law), limits).status for k in range(count)]
    return f"{statuses.count('over')} of {count}"


def main() -> None:
    """Print how often each limit is over."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    epsilon = {"membership.epsilon": 1e-9}
    capacity = {"membership.min_capacity": 1e-9}
    both = {**epsilon, **capacity, "memorization.min_capacity": 1e-9}
    print("dead, ε:", over(count, epsilon, epsilon=0.0))
    print("dead, min-capacity:", over(count, capacity, epsilon=0.0))
    print("dead, both:", over(count, both, epsilon=0.0, ranks=2))
    print("ε = 1 at the limit 1:", over(count, {"membership.epsilon": 1.0}, epsilon=1.0))
    live = over(40, {"membership.epsilon": 0.5}, epsilon=0.0, shift=1.0)
    print("a shift of 1 above ε = 0.5:", live)


if __name__ == "__main__":
    main()
