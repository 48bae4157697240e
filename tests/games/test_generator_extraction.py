"""Generator extraction: habits are learnt of what a victim wrote, not of the judge's questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from hartley.attacks.model_to_model.extraction.generator_imitation import generator_imitation
from hartley.channel.measure import measure
from hartley.core import Access, Modality, Model, Outcome, Output, Term, attack
from hartley.engine.run.play import play
from hartley.games.extraction.generator_extraction import generator_extraction

RULES = {"rounds": 12, "queries": 200}


def _live() -> Any:
    return generator_extraction.live(Modality.LANGUAGE, np.random.default_rng(0))


def test_a_loot_that_counts_the_tokens_of_its_questions_has_no_habits() -> None:
    @attack(
        game=generator_extraction,
        access=Access.LABELS,
        term=Term.BANDWIDTH,
        modalities=(Modality.LANGUAGE,),
        paper="hartley",
    )
    def counting(view: Any, rng: Any) -> Outcome:
        """Answer each batch with how often tokens occur in it, and ask the victim nothing."""
        classes = view.brief.classes

        def query(x: Any) -> Any:
            rows = np.asarray(x)
            counts = np.bincount(rows[rows >= 0], minlength=classes).astype(float)
            return np.tile(counts, (len(rows), 1))

        return Outcome(asset=Model("counting", Modality.LANGUAGE, query, Output.LOGITS, classes))

    trials = play(counting, _live(), seed=0, game_params=RULES)
    n, share = trials.truth.size, float((trials.guess == trials.truth).mean())
    assert n == 192 and abs(share - 1 / 4) < 4 * np.sqrt(3 / 16 / n)
    assert not measure(trials).bits.lower


def test_counts_of_what_a_victim_wrote_have_its_habits() -> None:
    trials = play(
        generator_imitation, _live(), seed=0, game_params=RULES, params={"student": "counts"}
    )
    rows = trials.metrics_by_round
    right = (trials.guess == trials.truth).mean()
    assert right > 0.7 and np.mean(rows["victim_carries"]) > 0.9
    assert (measure(trials).bits.lower or 0) > 0.5
