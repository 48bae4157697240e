"""The page's section on the choice of a defense."""

import re

from hartley.reference import declared_defenses
from hartley.report import which_defense
from hartley.report.render import render


def point(name, left, utility):
    ends = {"low": None, "high": None}
    return {"name": name, "left": {"value": left, **ends}, "utility": {"value": utility, **ends}}


def test_the_front_is_what_no_other_beats_in_both():
    points = [
        point("a", 0.2, 0.9),
        point("b", 0.1, 0.8),
        point("c", 0.2, 0.8),  # beaten by a, and by b
        point("d", 0.3, 0.95),
        point("e", 0.1, 0.8),  # as good as b
    ]
    assert which_defense.pareto(points) == ["a", "b", "d", "e"]


def test_the_page_shows_choice_matrix_and_front(document):
    page = render(document, "html")
    assert '<a href="#choice">Which defense</a>' in page
    section = re.search(r'<section aria-labelledby="choice">.*?</section>', page, re.DOTALL)[0]
    assert "leaves its worst attack least" in section and "dci_hartley" in section
    assert "safety" in section and "not claimed" in section
    assert "Does bandwidth beat noise and signal under adaptation?" in section
    assert "<svg" in section and "Not beaten:" in section


def test_a_run_without_defenses_has_no_such_section(document):
    document["defenses"] = []
    assert 'id="choice"' not in render(document, "html")


def test_markdown_says_which_defense(document):
    page = render(document, "md")
    assert "leaves its worst attack least" in page and "hartley defend" in page
    document["defenses"] = []
    assert "leaves its worst attack least" not in render(document, "md")


def test_a_flagged_row_behind_a_defense_is_open_on_the_page_too(document):
    """The page is drawn from the rows that limits are about: those behind defenses come along."""
    defense = document["defenses"][0]
    key, entry = next(
        (key, entry)
        for key, entry in defense["residual"].items()
        if entry["static"] is not None and any(r["id"] == key for r in document["channels"])
    )
    baseline = next(row for row in document["channels"] if row["id"] == key)
    entry |= {"rows": {"static": "behind-1"}, "adaptive": None}
    behind = {"id": "behind-1", "baseline": False, "baseline_id": key, "added": defense["name"]}
    document["channels"].append({**baseline, **behind, "flags": []})

    def cell():
        page = render(document, "html")
        section = re.search(r'<section aria-labelledby="choice">.*?</section>', page, re.DOTALL)[0]
        table = section[section.index("stronger attacker reads behind each defense") :]
        (row,) = re.findall(rf'<tr><th scope="row">{baseline["attack"]}.*?</tr>', table, re.DOTALL)
        return re.search(rf'data-name="{defense["name"]}".*?</td>', row)[0]

    assert "static attacker alone" in cell()
    document["channels"][-1]["flags"] = ["its null arm reads 0.1 bit"]
    assert ">open<" in cell()


def test_the_page_says_the_mean_too_and_the_declared_list(document):
    found = which_defense.of_page(document, lambda text: text)
    assert [("worst attack" in chart["title"], "in the mean" in chart["title"])
            for chart in found["charts"]] == [(True, False), (False, True)]  # fmt: skip
    names = [row["name"] for row in document["defenses"]]
    listed = any(part in names for row in declared_defenses() for part in row.parts)
    assert listed == any("fifteen declared defenses" in note for note in found["notes"])
