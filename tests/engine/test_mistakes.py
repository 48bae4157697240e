"""When a plan is at fault for rows that failed, and when it is not."""

from __future__ import annotations

import pytest

from hartley.core.errors import UsageError
from hartley.engine.jobs import PLAY, UTILITY, Job
from hartley.engine.mistakes import check_parameters, told
from hartley.engine.plan import Plan, parse

LOSS = Job(PLAY, "digits", attack="loss_threshold", game="membership")
LIRA = Job(PLAY, "digits", attack="lira", game="membership")
BEHIND = Job(PLAY, "digits", attack="lira", game="membership", defense="rounding", knows="static")
COST = Job(UTILITY, "digits", defense="rounding")
EVERY = [LOSS, LIRA, BEHIND, COST]


@pytest.mark.parametrize(
    ("plan", "blamed", "said"),
    [
        (Plan(games={"membership": {"group": -1}}), [(LOSS, "game"), (LIRA, "game")], "[games.mem"),
        (Plan(games={"membership": {"group": -1}}), [(LOSS, "game")], ""),
        (Plan(games={"membership": {"group": -1}}), [(LOSS, "attack"), (LIRA, "game")], ""),
        (Plan(games={"membership": {}}), [(LOSS, "game"), (LIRA, "game")], ""),
        (Plan(), [(LOSS, "game"), (LIRA, "game")], ""),
        (Plan(games={"poisoning": {"slots": 1}}), [(LOSS, "game")], ""),
        (Plan(attacks={"lira": {"augment": 99}}), [(LIRA, "attack")], "[attacks.lira]"),
        (Plan(attacks={"lira": {"augment": 99}}), [(LIRA, "game")], ""),
        (
            Plan(defenses={"rounding": {"digits": -1}}),
            [(BEHIND, "defense"), (COST, "defense")],
            "[defenses.rounding]",
        ),
        (Plan(defenses={"rounding": {"digits": -1}}), [(BEHIND, "defense")], ""),
        (Plan(defenses={"rounding": {"digits": -1}}), [(BEHIND, "game"), (COST, "")], ""),
    ],
)
def test_a_plan_is_at_fault_where_it_set_what_every_row_failed_on(plan, blamed, said):
    found = told(plan, EVERY, {job.key: (kind, "what it said") for job, kind in blamed})
    assert (found is None) if not said else (said in str(found) and "what it said" in str(found))


def test_a_way_to_deal_is_fine_while_one_attack_of_the_plan_plays_it():
    text = '[games.inversion]\nrelease = "{}"'
    check_parameters(parse(text.format("links")))
    check_parameters(parse('only = ["membership"]\n' + text.format("gradiens")))
    with pytest.raises(UsageError, match="with release = 'links'; they play gradients"):
        check_parameters(parse('only = ["dlg"]\n' + text.format("links")))
