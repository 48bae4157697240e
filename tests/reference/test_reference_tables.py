"""The tables say what the papers say, and every id in them resolves."""

import re
from collections import Counter
from pathlib import Path

import pytest

import hartley
from hartley import catalog
from hartley.cli.assess import plans
from hartley.core.taxonomy import AXES, SEED_A_CLASSES, Axis, Flow, Term
from hartley.engine.plan.plan import parse
from hartley.infotheory.coverage_index import TERMS
from hartley.reference import (
    bibliography,
    current_id,
    declared_defenses,
    entries,
    flows,
    implemented_by,
    seed_a,
    tags,
    threats,
    title_of,
)
from hartley.reference.bibliography import SEEN, seen
from hartley.reference.frameworks import note_of

EDITIONED = {
    "atlas": re.compile(r"^AML\.T\d{4}(\.\d{3})?$"),
    "owasp-llm": re.compile(r"^LLM\d\d:20(25|26)$"),
    "owasp-ml": re.compile(r"^ML\d\d:2023$"),
    "nistaml": re.compile(r"^NISTAML\.0\d{1,2}$"),
}


def test_seed_a_has_nine_classes_on_four_axes() -> None:
    found = seed_a()
    assert tuple(one.cls for one in found) == SEED_A_CLASSES
    assert {one.axis() for one in found} == set(Axis)
    assert Counter(one.axis().value for one in found) == {
        "data_to_data": 2,
        "data_to_model": 3,
        "model_to_data": 3,
        "model_to_model": 1,
    }


def test_only_jailbreak_moves_between_the_editions() -> None:
    moved = {one.cls for one in seed_a() if len(set(one.axes.values())) > 1}
    assert moved == {"jailbreak"}
    jailbreak = next(one for one in seed_a() if one.cls == "jailbreak")
    assert jailbreak.axis("arxiv-v1") is Axis.DATA_TO_MODEL
    assert jailbreak.axis("openreview") is Axis.DATA_TO_DATA


def test_seed_b_has_six_flows_three_of_them_of_systems() -> None:
    assert [one.flow for one in flows()] == list(Flow)
    assert [one.level for one in flows()] == ["model"] * 3 + ["system"] * 3
    classes = [cls for one in flows() for cls in one.classes]
    assert len(classes) == len(set(classes))
    assert set(classes) == set(AXES["arxiv-v1"]) - {"decryption"}


def test_seed_b_table_has_the_papers_totals() -> None:
    table = threats()
    assert len(table) == 73
    assert Counter(row.move for row in table) == {
        Term.BANDWIDTH: 31,
        Term.NOISE: 27,
        Term.SIGNAL: 15,
    }
    assert Counter(row.flow for row in table) == {
        Flow.PREDICTION: 25,
        Flow.LEARNING: 10,
        Flow.INFERRING: 7,
        Flow.ACTION: 13,
        Flow.INTERACTION: 6,
        Flow.MEMORY: 12,
    }
    present = Counter(name for row in table for name, mark in row.marks.items() if mark)
    assert (present["text"], present["image"], present["audio"]) == (48, 35, 2)
    assert (present["white"], present["grey"], present["black"]) == (36, 4, 60)
    assert (present["encoder"], present["it2i"], present["it2t"], present["a2t"]) == (12, 9, 57, 2)
    assert len({row.name for row in table}) == 73


def test_each_game_rides_on_the_flow_of_its_class() -> None:
    """Else its rows are called security where the paper says safety, or the other way."""
    bridge = {cls: one.flow for one in flows() for cls in one.classes}
    games = [entry for entry in catalog.entries("game") if entry.cls in bridge]
    assert len(games) > 12
    assert {game.name: game.flow for game in games} == {
        game.name: bridge[game.cls] for game in games
    }


def test_the_fifteen_declared_defenses_are_there_and_act_on_the_term_that_is_declared() -> None:
    declared = declared_defenses()
    assert Counter(row.term for row in declared) == dict.fromkeys(TERMS, 5)
    assert [row.number for row in declared] == [
        f"{term[0].upper()}{k}" for term in TERMS for k in range(1, 6)
    ]
    entries = {entry.name: entry for entry in catalog.entries("defense")}
    scenes = {entry.name: entry for entry in catalog.entries("scene")}
    for row in declared:
        assert bool(row.forms) != bool(row.waits), row
        for scene, parts in row.forms.items():
            for part in parts:
                assert set(scenes[scene].modalities) <= set(entries[part].modalities), (scene, part)
            assert entries[parts[0]].term == row.term, (row.number, parts[0])
    assert sum(not row.forms for row in declared) == 3


def test_the_plan_of_defenses_plays_all_that_are_declared_on_its_scene() -> None:
    plan = parse(plans()["defenses"](), source="defenses")
    forms = [row.forms[plan.scene] for row in declared_defenses() if plan.scene in row.forms]
    assert len(forms) >= 9 and {parts[0] for parts in forms} <= set(plan.use)
    terms = {catalog.find("defense", name).term for name in plan.use}
    assert terms == set(TERMS) and plan.adaptive and plan.tuned_baseline


def test_every_declared_defense_that_has_a_form_is_in_a_plan_that_ships() -> None:
    shipped = [
        parse(text(), source=name)
        for name, text in plans().items()
        if name.partition("_")[0] == "defenses"
    ]
    for row in declared_defenses():
        measured = {
            part for plan in shipped for part in row.forms.get(plan.scene, ()) if part in plan.use
        }
        assert bool(measured) == bool(row.forms), row.number
        # Where a scene has a plan of defenses, all that have a form there are in it.
        for plan in shipped:
            assert set(row.forms.get(plan.scene, ())) <= set(plan.use), (row.number, plan.scene)


def test_a_row_stands_on_its_flow_and_its_paper_is_an_id() -> None:
    bridge = {one.flow: set(one.classes) for one in flows()}
    for row in threats():
        assert not row.cls or row.cls in bridge[row.flow], row
        assert not row.paper or re.match(r"^arXiv:\d{4}\.\d{5}$", row.paper), row


def test_a_row_is_linked_to_the_attacks_that_are_there() -> None:
    row = next(one for one in threats() if one.name == "PoisonedRAG")
    here = [
        {"name": "rag_poison", "class": "memory_poison", "paper": "arXiv:2402.07867"},
        {"name": "worm", "class": "memory_poison", "paper": "arXiv:2403.02817"},
        {"name": "lira", "class": "membership", "paper": "arXiv:2112.03570"},
    ]
    assert implemented_by(row, here) == {"same_paper": ["rag_poison"], "same_class": ["worm"]}
    assert implemented_by(row, []) == {"same_paper": [], "same_class": []}
    unplayed = next(one for one in threats() if one.goal == "Latency")
    assert implemented_by(unplayed, here) == {"same_paper": [], "same_class": []}


@pytest.mark.parametrize("cls", sorted(AXES["arxiv-v1"]))
def test_every_class_has_ids_that_resolve_and_carry_their_edition(cls: str) -> None:
    known, found = entries(), tags(cls)
    assert {tag["scheme"] for tag in found} >= {"owasp-llm", "nistaml"}
    for tag in found:
        assert EDITIONED[tag["scheme"]].match(tag["id"]), tag
        assert known[tag["id"]].edition == tag["edition"], tag
        assert known[tag["id"]].scheme == tag["scheme"], tag
        assert tag["origin"] in {"official", "asserted"}
        if tag["origin"] == "official":
            assert note_of(cls, tag["id"]), tag
    assert len({tag["id"] for tag in found}) == len(found)


def test_both_owasp_editions_stand_beside_each_other() -> None:
    assert entries()["LLM03:2025"].title == "Supply Chain"
    assert entries()["LLM03:2026"].title == "Excessive Agency"
    editions = {tag["edition"] for tag in tags("poisoning") if tag["scheme"] == "owasp-llm"}
    assert editions == {"2025", "2026"}


def test_decryption_and_watermark_removal_have_no_official_id() -> None:
    for cls in ("decryption", "watermark"):
        assert {tag["origin"] for tag in tags(cls)} == {"asserted"}


def test_an_attacks_own_ids_are_added_once() -> None:
    base = tags("membership")
    more = tags("membership", ("atlas:5.6.0:AML.T0024.000", "cwe:4.15:CWE-200"))
    assert more[:-1] == base
    assert more[-1] == {
        "scheme": "cwe",
        "edition": "4.15",
        "id": "CWE-200",
        "origin": "asserted",
    }
    with pytest.raises(ValueError, match="scheme:edition:id"):
        tags("membership", ("AML.T0024",))
    assert tags("no_such_class") == []


def test_renumbered_atlas_ids_lead_to_todays() -> None:
    assert current_id("AML.T0019") == "AML.T0115.000"
    assert current_id("AML.T0058") == "AML.T0115.001"
    assert current_id("AML.T0024.000") == "AML.T0024.000"
    retired = {"AML.T0019", "AML.T0058", "AML.T0104"}
    assert not retired & set(entries())


def test_the_bibliography_is_well_formed() -> None:
    papers = bibliography()
    assert all(re.match(r"^(arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/\S+)$", one) for one in papers)
    assert len(set(papers.values())) == len(papers)
    assert title_of("arXiv:2112.03570") == "Membership Inference Attacks From First Principles"
    assert title_of("arXiv:0000.00000") is None
    assert {seen(one) for one in papers} <= set(SEEN) and seen("arXiv:0000.00000") == ""
    assert [one for one in papers if seen(one) != "both"] == [
        "arXiv:2411.11195",
        "doi:10.1109/35.940053",
        "arXiv:1804.00490",
        "arXiv:2101.04898",
        "arXiv:2111.00898",
    ]


ROOT = Path(hartley.__file__).parent
CITED = re.compile(r"(?i:arxiv[:/ ](?:abs/)?)(\d{4}\.\d{4,5})|(doi:10\.\d{4,}/[^\s\"'),;`|]+)")


def cited(path: Path) -> set[str]:
    """Every paper that a file names."""
    found = CITED.findall(path.read_text(encoding="utf-8"))
    return {f"arXiv:{number}" if number else doi.rstrip(".") for number, doi in found}


def test_every_paper_that_a_file_cites_is_on_record() -> None:
    """Look a new one up, then write its row: id, title, and what confirms it."""
    files = [one for one in ROOT.rglob("*") if one.suffix in {".py", ".tsv", ".toml", ".json"}]
    table = ROOT / "reference" / "bibliography.tsv"
    missing = {
        paper: sorted(str(one.relative_to(ROOT)) for one in files if paper in cited(one))
        for paper in set().union(*(cited(one) for one in files if one != table)) - {*bibliography()}
    }
    assert not missing
    assert len(cited(table)) == len(bibliography())  # the search finds both kinds of id


@pytest.mark.parametrize("kind", ["attack", "defense", "game"])
def test_every_part_cites_a_paper_with_a_title(kind: str) -> None:
    house = [one for one in catalog.entries(kind) if one.origin == "hartley" and not one.error]
    assert house
    assert not {one.paper for one in house if one.paper != "hartley" and not title_of(one.paper)}
