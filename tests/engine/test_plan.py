"""Plans: what is valid is kept, what is not is told with its place and the nearest name."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from hartley import catalog
from hartley.core.errors import BadPlan, UnknownName, UsageError
from hartley.core.toml_mistakes import located
from hartley.engine.plan.check_plan import check_parameters
from hartley.engine.plan.plan import Plan, matches, normalised, parse, read, scene_params
from hartley.engine.result.least import read_least

WHOLE = """
scene = "digits"
seed = 7
only = ["membership", "axis:data_to_data"]
skip = "rmia"
alpha = 0.01
budget = 5000
[attacks.loss_threshold]
floor = 1e-5
[games.membership]
rounds = 4
[scenes."live:membership"]
[defenses]
use = ["rounding"]
adaptive = false
[defenses.rounding]
digits = 1
[limits]
membership = 0.05
"attack:loss_threshold" = 0.02
"axis:model_to_data" = 1
"membership.tpr_at_fpr_1e2" = 0.05
poisoning.asr = 0.5
[executor]
workers = 3
"""


def test_everything_is_read():
    plan = parse(WHOLE)
    assert plan.scene == "digits" and plan.seed == 7 and plan.alpha == 0.01
    assert plan.only == ("membership", "axis:data_to_data") and plan.skip == ("rmia",)
    assert plan.attacks == {"loss_threshold": {"floor": 1e-5}} and plan.workers == 3
    assert plan.use == ("rounding",) and not plan.adaptive and plan.budget == 5000
    assert plan.limits["membership.tpr_at_fpr_1e2"] == 0.05
    assert plan.limits["poisoning.asr"] == 0.5


def test_a_metric_limit_beside_its_class_needs_quotes():
    with pytest.raises(BadPlan, match="line 22, column 33"):
        parse(WHOLE.replace('"membership.tpr_at_fpr_1e2"', "membership.tpr_at_fpr_1e2"))


def test_the_normalised_plan_is_the_same_plan():
    plan = parse(WHOLE)
    again = parse(normalised(plan))
    assert (again.attacks, again.limits, again.use) == (plan.attacks, plan.limits, plan.use)
    assert normalised(Plan(scene='quo"te\\ é\n')).count("\n") == normalised(Plan()).count("\n")
    assert parse(normalised(Plan(scene='quo"te\\ é\n'))).scene == 'quo"te\\ é\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "scene = ",
            r"^plan: line 1, column 9: this value must be a number, .* or text in quotes: .*$",
        ),
        ('scene = "x"\nseed = = 3', r"^plan: line 2, column 8: this value must be a number, .*$"),
        ('a = "x', r"^plan: line 1, column 7: text must end with the quote that it began with$"),
        ("[limits", r"^plan: line 1, column 8: "),
        ("sed = 1", r"unknown key 'sed'; did you mean seed\?"),
        ("zzz = 1", r"unknown key 'zzz'; known: scene, seed"),
        ('seed = "a"', r'seed must be a whole number, got "a" \(a string\)'),
        ("seed = 1.5", r"seed must be a whole number, got 1.5 \(a number\)"),
        ("seed = true", r"seed must be a whole number, got true \(true or false\)"),
        ("seed = -1", "seed must be at least 0, got -1"),
        ("seed = 1979-05-27", r"must be a whole number, got .* \(a date\)"),
        ("scene = 3", r"scene must be a string, got 3 \(a whole number\)"),
        ("only = [1]", r"only must be a list of strings, got \[1\]"),
        ("alpha = 0.7", "alpha must be above 0 and below 0.5, got 0.7"),
        ("alpha = nan", "alpha must be finite, got nan"),
        ("budget = 0", "budget must be at least 1, got 0"),
        ("attacks = 3", r"attacks must be a table, \[attacks\], got a whole number"),
        (
            "[attacks]\nfloor = 3",
            r"attacks.floor must be a table of parameters, .* got a whole number",
        ),
        ("[executor]\nworker = 2", r"unknown key 'executor.worker'; did you mean executor.worke"),
        ("[defenses]\nuse = 3", "defenses.use must be a list of strings, got 3"),
        ("[limits]\nmembership = -1", "limits.membership must be at least 0, got -1"),
        ('[limits]\nmembership = "low"', "limits.membership must be a number"),
    ],
)
def test_a_bad_plan_says_where_and_what_was_expected(text, words):
    with pytest.raises(BadPlan, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('only = ["loss_treshold"]', "did you mean loss_threshold"),
        ("[attacks.loss_treshold]", "did you mean loss_threshold"),
        ("[games.menbership]", "did you mean membership"),
        ('[defenses]\nuse = ["roundin"]', "did you mean rounding"),
        ("[limits]\nmembershp = 1", "did you mean membership"),
        ('[limits]\n"attack:loss_treshold" = 1', "did you mean loss_threshold"),
        ('[limits]\n"axis:model_to_date" = 1', "did you mean model_to_data"),
    ],
)
def test_an_unknown_name_gets_the_nearest(text, words):
    with pytest.raises(UnknownName, match=words):
        parse(text)


def test_a_limit_may_name_a_class_that_has_no_game_yet():
    assert parse("[limits]\ninversion = 0.1").limits == {"inversion": 0.1}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[attacks.loss_threshold]\nflor = 1", "no parameter 'flor'; did you mean floor"),
        ('[attacks.loss_threshold]\nfloor = "a"', "floor must be a number above 0 and at most 0.5"),
        (
            "[attacks.loss_threshold]\nfloor = true",
            "floor must be a number above 0 and at most 0.5",
        ),
        ("[games.membership]\nrounds = 1.5", "rounds must be a whole number from 0 to"),
    ],
)
def test_a_parameter_is_held_against_its_declaration(table, words):
    with pytest.raises(UsageError, match=words):
        check_parameters(parse(table))


def test_a_whole_number_is_a_number():
    check_parameters(parse("[attacks.rmia]\na = 1"))


def test_a_file_is_read_and_named_after_itself(tmp_path):
    path = tmp_path / "nightly.toml"
    path.write_text('scene = "digits"')
    assert read(path).name == "nightly"
    with pytest.raises(BadPlan, match=r"cannot read the plan .*No such file"):
        read(tmp_path / "gone.toml")
    path.write_bytes(b"scene = '\xff'")
    with pytest.raises(BadPlan, match="not UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("pattern", "yes"),
    [
        ("loss_threshold", True),
        ("loss_*", True),
        ("membership", True),
        ("class:membership", True),
        ("attack:membership", False),
        ("axis:model_to_data", True),
        ("axis:data_to_data", False),
        ("lira", False),
        ("strange:loss_threshold", False),
    ],
)
def test_patterns(pattern, yes):
    assert matches(pattern, catalog.find("attack", "loss_threshold")) is yes


def test_a_plan_may_begin_with_the_mark_of_windows_editors(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_bytes('\ufeffscene = "digits"\n'.encode())
    assert read(path).scene == "digits"


def test_a_plan_that_says_how_many_references_gets_as_many_of_a_users_own_model():
    plan = '[model]\npath = "m.skops"\n[data]\ntrain = "a.csv"\ntest = "b.csv"\ntarget = "y"\n'
    assert "sparing" not in scene_params(parse(plan, source="p"))
    for more in ("[attacks.lira]\nreferences = 64\n", "[limits.least]\nreferences = 64\n"):
        limits = "[limits]\nmembership = 0.1\n" if "least" in more else ""
        assert scene_params(parse(plan + limits + more, source="p"))["sparing"] is False
    assert "sparing" not in scene_params(parse('scene = "digits"\n' + more, source="p"))


def test_references_that_were_not_trained_do_not_count():
    least = read_least({"lira": {"references": 64}})
    stage = {"attack": "lira", "params": {"references": 64}}
    row = {"rounds": 4, "experiment": {"stages": [stage]}}
    assert list(least.unmet(row)) == []
    assert list(least.unmet({**row, "cost": {"models": 16.0}})) == []
    (reason,) = least.unmet({**row, "cost": {"models": 4.0}})
    assert reason == "trained 16 reference models, not 64"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scene = digits", "line 1, column 9: this value must be a number, true, false, a [list]"),
        ("scene", "line 1, column 6: a name must have = and a value behind it"),
        ("[limits\nseed = 1", "line 1, column 8: the heading of a table must end with ]"),
        (
            'scene = "digits\nseed = 1',
            "line 1, column 16: text must end on its line, with the quote",
        ),
        ("seed = 1\nseed = 2\n", "line 2, column 9: this name must have one value"),
        ("[limits]\n[limits]\n", "line 2, column 8: this table must have one heading"),
        ("seed = 1 scene = 2", "line 1, column 10: a line must end after its value"),
        ('only = ["lira" "rmia"]', "line 1, column 16: a list must end with ], and have commas"),
        ('scene = "C:\\data"', "line 1, column 14: a \\ in text must be doubled"),
    ],
)
def test_a_mistake_of_syntax_is_in_plain_words_with_its_place(text, words):
    with pytest.raises(BadPlan) as caught:
        parse(text)
    assert str(caught.value).startswith(f"plan: {words}") and "\n" not in str(caught.value)


def test_every_message_of_tomllib_has_plain_words():
    """They are in its source as texts; one of another version would be printed as it is."""
    source = inspect.getsource(importlib.import_module("tomllib._parser"))
    raised = re.findall(r"suffixed_err\(\s*src, \w+, f?(\"[^\"]*\"|'[^']*')", source)
    assert len(raised) > 15
    for message in raised:
        words = message[1:-1].replace("\\\\", "\\")
        plain = located(f"{words} (at line 1, column 1)", "x")
        assert not plain.endswith(words), words


def test_pairs_of_defenses_in_the_order_in_which_they_act():
    """A retraining drops the defenses before it, so that it comes first."""
    singles = ["rounding", "label_smoothing", "score_noise"]
    plan = parse(f'scene = "digits"\n[defenses]\nuse = {singles}\npairs = true')
    together = ["label_smoothing+rounding", "rounding+score_noise", "label_smoothing+score_noise"]
    assert list(plan.use) == [*singles, *together]
    listed = parse(
        'scene = "digits"\n[defenses]\nuse = ["score_noise+rounding"]\n'
        'pairs = ["rounding", "score_noise", "label_smoothing"]'
    )
    assert listed.use[:4] == ("score_noise+rounding", "rounding", "score_noise", "label_smoothing")
    assert set(listed.use[4:]) == {"label_smoothing+rounding", "label_smoothing+score_noise"}
    assert parse(normalised(plan)).use == plan.use


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("true", "at least 2 single names in defenses.use, got 1"),
        ('["rounding"]', "true or at least 2 names"),
        ("3", "defenses.pairs must be a list of strings"),
        ('["rounding", "top_q"]', "did you mean top_k"),
    ],
)
def test_pairs_that_cannot_be(pairs, words):
    with pytest.raises(UsageError, match=words):
        parse(f'scene = "digits"\n[defenses]\nuse = ["rounding"]\npairs = {pairs}')
