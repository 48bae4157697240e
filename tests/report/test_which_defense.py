"""The page's section on the choice of a defense."""

import re

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
