"""The page loads nothing, escapes everything, can be read by everyone, and says every number."""

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from hartley.report import render
from hartley.report.html import prose

VOID = {"meta", "br", "img", "link", "input", "hr"}
DRAWN = {"svg", "g", "path", "text", "use", "defs", "marker", "circle", "rect", "clippath", "title"}
READ_AT = ("https://arxiv.org/abs/", "https://doi.org/10.")
WRITTEN = {
    *("html", "head", "meta", "title", "style", "body", "div", "header", "main", "footer", "nav"),
    *("section", "h1", "h2", "h3", "p", "span", "strong", "a", "ul", "ol", "li", "dl", "dt", "dd"),
    *("figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "code", "pre"),
}


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]

    @property
    def text(self):
        return re.sub(r"[ \t\n]+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def read(page):
    return Page(page)


def test_the_page_loads_nothing(page, read):
    policy = next(m["content"] for m in read.all("meta") if m.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert {tag for tag, _ in read.tags} <= WRITTEN | DRAWN
    for tag, attrs in read.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"src", "srcset", "action", "data", "poster", "background"}
            if name == "href":
                assert value.startswith(("#", *READ_AT)), value
            if name == "xlink:href":
                assert value.startswith("#")
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    } | {a["href"] for a in read.all("a")}
    assert len(page.encode()) < 1_500_000


HOSTILE = "</td><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7919*7907}}$x^2$&lt;"


def _poisoned(value, key=""):
    fixed = {"schema", "status", "axis", "role", "form", "knowledge", "kind", "created"}
    if isinstance(value, dict):
        return {k: _poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_poisoned(v, key) for v in value]
    return value + HOSTILE if isinstance(value, str) and key not in fixed else value


def test_everything_that_comes_from_the_document_is_inert(document):
    document = _poisoned(document)
    document["channels"][0]["params"][HOSTILE] = HOSTILE
    document["channels"][0]["metrics"][HOSTILE] = 1.0
    document["defenses"][0]["residual"][HOSTILE] = document["defenses"][0]["residual"][
        "knockoff-0a1b2c"
    ]
    document["defenses"][0]["utility"][HOSTILE] = {"before": 1.0, "after": 0.5}
    document["host"][HOSTILE] = HOSTILE
    document["verdict"]["status"] = HOSTILE
    document["channels"][-1]["axis"] = HOSTILE
    text = render(document, "html")
    read = Page(text)
    assert {tag for tag, _ in read.tags} <= WRITTEN | DRAWN
    assert not [a for _, a in read.tags if any(n.startswith("on") for n in a)]
    assert "<script" not in text and "<img" not in text
    assert "<script>alert(1)</script>" in read.text  # shown, as the text that it is
    assert "62615533" not in text  # a template in a name is not run


def test_every_measured_number_stands_with_its_interval_and_n(document, read):
    from hartley.report.format_numbers import number, span

    measured = [c for c in document["channels"] if c["status"] == "measured"]
    assert len(measured) == 10
    for row in measured:
        bits = row["bits"]
        words = f"{number(bits['point'])} {span(bits['low'], bits['high'])} per {row['unit']}"
        assert words in read.text, row["attack"]
        assert f"{number(row['n'])} in {row['clusters']} cluster" in read.text
        for value in row["metrics"].values():
            if isinstance(value, dict):
                words = f"{number(value['value'])} {span(value['low'], value['high'])}"
                words += "" if value["n"] == row["n"] else f", n {number(value['n'])}"
                assert words in read.text


def test_what_was_not_measured_is_said_with_its_reason(read):
    assert "the scene has no corpus" in read.text
    assert "answered with NaN <b>twice</b>" in read.text
    assert "flagged: its null arm reads 0.041 bit" in read.text
    assert "no adaptive form of this attack is known to Hartley" in read.text


def test_the_verdict_comes_first(page, read):
    assert read.text.index("Over the limit") < read.text.index("The loop")
    assert 'class="verdict over"' in page
    assert "lira_online is at least 0.214 bit, over the limit 0.1" in read.text


@pytest.mark.parametrize("status", ["pass", "over", "inconclusive", "of another kind"])
def test_every_verdict_has_a_tone(document, status):
    document["verdict"]["status"] = status
    tone = status if status != "of another kind" else "inconclusive"
    assert f'class="verdict {tone}"' in render(document, "html")


def test_the_verdict_says_how_much_the_limits_cover(read, document):
    assert "The limits speak of 4 of 10 measured channels." in read.text
    assert "The widest that they do not speak of is " in read.text
    document["verdict"]["checks"] = []
    assert "limits speak" not in render(document, "html")


def test_papers_are_cited_with_their_titles(document):
    document["channels"][0]["paper"] = "doi:10.1109/83.650120"
    document["channels"][1]["paper"] = "doi:10.1/x javascript:alert(1)"
    read = Page(render(document, "html"))
    links = {a["href"] for a in read.all("a")}
    assert "https://doi.org/10.1109/83.650120" in links
    assert not [link for link in links if "javascript" in link]
    assert "Membership Inference Attacks From First Principles lira_online" in read.text
    assert "title not on record" not in read.text


def test_only_papers_of_what_was_played_are_cited(document):
    played, skipped = document["channels"][0], document["channels"][-2]
    assert skipped["status"] == "skipped"
    played["paper"], skipped["paper"] = "hartley", "arXiv:1802.08232"
    read = Page(render(document, "html"))
    assert "1802.08232" not in read.text.partition("Papers behind the attacks")[2]
    assert "hartley jpeg" not in read.text and "First Principles lira_online" in read.text


def test_the_widest_channel_is_the_one_that_the_picture_ranks_first(document):
    for row in document["channels"]:
        row["alphabet"] = round(2 ** (row.get("ceiling") or 1.0))
    read = Page(render(document, "html"))
    said = read.text.partition("The widest channel is")[2][:120]
    assert "badnets" in said and "at least 86% of a secret that is 1 in 10 (3.104 bit" in said
    assert "≥ 86% of the secret" in read.text


def test_queries_and_the_rate_of_uses_are_told_apart(document):
    row = document["channels"][6]
    row |= {"uses": 24_000, "seconds": 1.0, "shared_seconds": {"reference models": 3.0}}
    row["rate_bits_per_s"] = row["bits"]["point"] * row["n"] / 4.0
    read = Page(render(document, "html"))
    assert "24\u202f000 queries in 4.00 s 82.00 bit/s" in read.text
    assert "2\u202f000 uses a second" in read.text and "Uses and rate" not in read.text


def test_a_run_without_limits_does_not_say_pass(document):
    document["verdict"] = {"status": "pass", "reasons": [], "checks": []}
    read = Page(render(document, "html"))
    assert "No limits were set" in read.text
    assert not [a for _, a in read.tags if (a.get("class") or "") == "verdict pass"]
    assert "**No limits were set.**" in render(document, "md")


def test_defences_show_before_and_after(read):
    assert "0.262 [0.214, 0.301], n 8\u202f000" in read.text
    assert "0.173 [0.140, 0.205], n 8\u202f000" in read.text
    assert (
        "test accuracy 0.972 [0.951, 0.986], n 360 → 0.871 [0.832, 0.903], n 360 (−0.101)"
        in read.text
    )
    assert "nats per token −3.100 → – (–)" in read.text
    assert "relative to the suite" in read.text


def test_defences_are_drawn_beside_what_stood_before(page):
    drawn = page[page.index('id="defenses"') :]
    chart = drawn[drawn.index("lira_online, bits per record") :]
    chart = chart[: chart.index("</figure>")]
    labels = re.findall(r">([^<>]+)</text>", chart)
    wanted = ["without", "output_rounding, static", "output_rounding, adaptive", "dp_sgd, static"]
    assert [one for one in labels if one in wanted] == wanted
    assert "dp_sgd, adaptive: 0.004 bit per record [0.000, 0.012]" in chart


def test_the_page_says_whose_idea_is_whose(read):
    for part in prose()["provenance"]:
        assert part["lines"] and part["title"] in read.text
    assert "Not checked: only the abstracts" in read.text
    assert "jailbreak data → model data → data no part in this run" in read.text
    assert "membership inference model → data model → data measured: loss_threshold" in read.text


def test_seed_bs_table_is_linked_at_run_time(document, minimal):
    with_runs, without = render(document, "html"), render(minimal, "html")
    row = re.compile(r">inferring</th>.*?class=\"num\">7</td><td [^>]*class=\"num\">(\d)</td>")
    assert row.search(with_runs)[1] == "4"
    assert row.search(without)[1] == "0"


def test_the_page_is_accessible(read):
    assert next(a for a in read.all("html"))["lang"] == "en"
    assert all(a.get("scope") in {"col", "row"} for a in read.all("th"))
    drawn = [a for a in read.all("div") if a.get("role") == "img"]
    assert all(a["aria-label"] for a in drawn)
    assert len(drawn) == len(read.all("svg")) > 10
    for attrs in read.all("svg"):
        assert attrs["aria-hidden"] == "true"
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    regions = [a for a in read.all("div") if a.get("class") == "scroll"]
    assert len(regions) == len(read.all("table"))
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)


def test_on_a_telephone_every_number_of_a_channel_stands_under_its_name(page):
    whole = re.search(r'<table class="channels">(.*?)</table>', page, re.DOTALL)[1]
    heads = re.findall(r'<th scope="col">(.*?)</th>', whole)
    rows = re.findall(r"<tr>\s*<th scope=\"row\">.*?</tr>", whole, re.DOTALL)
    assert len(heads) == 9 and rows
    for row in rows:
        assert re.findall(r'<td data-name="([^"]+)"', row) == heads[1:]
    style = files("hartley.report.templates").joinpath("page.css").read_text()
    narrow = style[style.index("@media (max-width: 640px)") : style.index("@media print")]
    assert (
        "content: attr(data-name)" in narrow
        and "(.channels, .reasons) thead { display: none" in narrow
    )


def test_metrics_of_the_rows_are_explained_and_others_are_not(document, page):
    words = ("blind AUC", "worst percentile advantage", "identified", "exposure")
    row = next(c for c in document["channels"] if c["status"] == "measured")
    row["metrics"] |= dict.fromkeys((w.replace(" ", "_").lower() for w in words), 0.5)
    for word in words:
        assert re.search(rf"<dt>{word}<", render(document, "html")), word
        assert not re.search(rf"<dt>{word}<", page), word


def test_ids_are_unique_and_everything_that_points_arrives(page, read):
    ids = Counter(a["id"] for _, a in read.tags if a.get("id"))
    assert not [i for i, n in ids.items() if n > 1]
    pointed = {a["href"][1:] for a in read.all("a") if a["href"].startswith("#")}
    pointed |= {a["xlink:href"][1:] for _, a in read.tags if a.get("xlink:href")}
    pointed |= set(re.findall(r"url\(#([^)]+)\)", page))
    for _, attrs in read.tags:
        pointed |= set((attrs.get("aria-labelledby") or "").split())
    assert len(pointed) > 30
    assert pointed <= set(ids)


def test_numbers_that_are_not_there_do_not_break_the_page(document):
    for row in document["channels"][:3]:
        row["bits"] |= {"low": None, "high": None, "null": None, "null_high": None}
        row["ceiling"] = None
    document["channels"][3]["bits"]["point"] = None
    document["channels"][7]["curve"] = {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}
    document["channels"][8]["curve"] = {"fpr": [0.0], "tpr": [0.0]}
    document["defenses"][0]["coverage"] = None
    text = Page(render(document, "html")).text
    assert "0.871 no interval per bit of the mark" in text


def test_a_long_run_stays_small(document):
    rows = [dict(c, attack=f"{c['attack']}_{i}") for i in range(8) for c in document["channels"]]
    document["channels"] = rows
    assert len(render(document, "html").encode()) < 1_500_000


def test_no_table_is_wider_than_a_phone(document):
    """Every table either stacks its cells under their titles, or has two columns."""
    page = unescape(render(document, "html"))
    for attributes, table in re.findall(r"<table([^>]*)>(.*?)</table>", page, re.DOTALL):
        heads = re.findall(r'<th scope="col">(.*?)</th>', table)
        kind = re.search(r'class="(\w+)"', attributes)
        if len(heads) <= 2:
            continue
        assert kind is not None and kind[1] in ("channels", "reasons", "stack", "records"), heads
        if kind[1] == "stack":
            body = table.partition("<tbody>")[2]
            for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL):
                assert re.findall(r'<td data-name="([^"]+)"', row) == heads[1:]
