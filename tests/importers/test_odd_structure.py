"""Files that are sound JSON and hold something else than their tool writes: refused in one line."""

from __future__ import annotations

import copy
import json
import random

import pytest
from tests.importers import written_files as write

from hartley.core.errors import BadTrials, HartleyError
from hartley.importers.measured import Options, imported

ODD = [
    *(None, True, 0, -1, 1e308, float("nan"), float("inf"), 10**30),
    *("", "x" * 50, "true", [], {}, [[]], {"a": {}}, [None], {"": None}),
]


def written(folder):
    """Return the content of one small file of each tool that writes JSON."""
    lines = {
        "g.jsonl": write.garak(folder / "g.jsonl", [[1.0, 0.0]] * 3),
        "l.jsonl": write.lm_eval(folder / "l.jsonl", [1.0, 0.0] * 3),
    }
    documents = {
        "p.json": write.promptfoo(
            folder / "p.json", [write.promptfoo_row(n, n < 2) for n in (1, 2)]
        ),
        "y.json": write.pyrit(folder / "y.json", [("a", [True]), ("b", [False, "0.5"])]),
    }
    content = {
        name: [json.loads(t) for t in p.read_text().split("\n") if t] for name, p in lines.items()
    }
    content |= {name: json.loads(path.read_text()) for name, path in documents.items()}
    individual = {"member_prob": [0.1, 0.9, 0.4, 0.2], "member": [0, 1, 1, 0]}
    logger = {"attack_instance_logger": {"instance_0": {"individual": individual}}}
    samples = write.inspect_samples([["C", "I"], ["P"]])
    return content | {
        "s.json": {"LiRA Attack_1": {"attack_experiment_logger": logger}},
        "i.json": {"version": 2, "status": "success", "eval": {}, "samples": samples},
        "j.json": {"parameters": {}, "jailbreaks": [{"goal": "g", "jailbroken": True}] * 2},
        "t.json": [{"success": True, "prompt": "a"}, {"success": False, "prompt": "b"}],
    }


def places(value, path=()):
    if path:
        yield path
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield from places(value[key], (*path, key))


def with_odd_parts(value, rng):
    """Return a copy in which some parts are replaced, renamed or gone."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 5])):
        *way, last = rng.choice(list(places(value)))
        holder = value
        for key in way:
            holder = holder[key]
        if rng.random() < 0.7 or len(value) == 1:
            holder[last] = copy.deepcopy(rng.choice(ODD))
        elif isinstance(holder, dict) and rng.random() < 0.5:
            holder[f"{last}2"] = holder.pop(last)
        else:
            del holder[last]
    return value


@pytest.mark.parametrize("seed", range(30))
def test_odd_parts_never_end_in_another_error(tmp_path, seed):
    rng = random.Random(seed)
    for name, content in written(tmp_path).items():
        path, odd = tmp_path / name, with_odd_parts(content, rng)
        if name.endswith(".jsonl"):
            write.jsonl(path, odd)
        else:
            path.write_text(json.dumps(odd))
        try:
            imported(path, Options(rate=name == "t.json"))
        except HartleyError as error:
            assert len(str(error).splitlines()) == 1, error


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "s.json",
            lambda d: d["member"].__setitem__(0, None),
            "`member` must be a list of numbers",
        ),
        ("s.json", lambda d: d["member"].__setitem__(0, 10**400), "must be a list of numbers"),
        ("s.json", lambda d: d["member_prob"].__setitem__(0, [1]), "must be a list of numbers"),
        ("s.json", lambda d: d["member"].append(1), "of the same models and records"),
    ],
)
def test_records_of_sacroml_that_are_not_numbers(tmp_path, name, change, words):
    content = written(tmp_path)[name]
    logger = content["LiRA Attack_1"]["attack_experiment_logger"]["attack_instance_logger"]
    change(logger["instance_0"]["individual"])
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(BadTrials, match=words):
        imported(tmp_path / name, Options())


@pytest.mark.parametrize("odd", ["", 0, None, [], "x"])
def test_lines_of_a_table_that_are_not_objects(tmp_path, odd):
    rows = [{"truth": 1, "guess": "a"}, {"truth": 0, "guess": 1}, odd]
    path = write.jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(BadTrials, match=r"every line must be an object|cannot be read as jsonl"):
        imported(path, Options())
