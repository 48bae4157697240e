"""Charts and the loop say what the document says, in colours that follow the theme."""

import re
from xml.etree import ElementTree as ET

import pytest

from hartley.report import figures, loop
from hartley.report.figures import COLOURS, forest, roc

SVG = "{http://www.w3.org/2000/svg}"


def _rows(document, game="membership"):
    return [c for c in document["channels"] if c["game"] == game and c["status"] == "measured"]


def _texts(svg):
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("narrow", [False, True])
def test_a_forest_keeps_text_as_text_and_colours_as_variables(document, narrow):
    svg = forest(_rows(document), "a", narrow=narrow)
    assert {"loss_threshold", "lira_online", "rmia"} <= set(_texts(svg))
    assert ("0.262 [0.214, 0.301]" in _texts(svg)) is not narrow
    assert "var(--accent)" in svg and "var(--ink)" in svg
    assert not [c for c in COLOURS.values() if c in svg]
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert "<style" not in svg and "<metadata" not in svg and "<!DOCTYPE" not in svg


def _marks(svg, variable="accent"):
    """x of every drawn mark in a colour, left to right."""
    uses = ET.fromstring(svg).iter(f"{SVG}use")
    return sorted(float(u.get("x")) for u in uses if f"var(--{variable})" in u.get("style", ""))


def test_a_forest_puts_marks_where_the_numbers_are(document):
    (row,) = _rows(document, "extraction")
    before = _marks(forest([row], "a"))
    wider = dict(row, bits=row["bits"] | {"low": 0.0})
    after = _marks(forest([wider], "a"))
    assert len(before) == len(after) == 2  # the certified end and the point
    assert after[0] < before[0] and after[1] == before[1]
    shift = dict(row, bits=row["bits"] | {"point": row["bits"]["low"]})
    assert _marks(forest([shift], "a"))[1] == pytest.approx(before[0], abs=0.01)


def test_a_ceiling_far_away_is_an_arrowhead_at_the_edge(document):
    near = _rows(document)
    assert figures._scale(near) == pytest.approx(1.03)
    far = [dict(r, bits=r["bits"] | {"point": 0.02, "high": 0.03}) for r in near]
    assert figures._scale(far) == pytest.approx(0.048)
    assert figures._scale([dict(near[0], bits={"point": 0.0}, ceiling=None)]) > 0
    assert figures._scale([dict(near[0], ceiling=None)]) == pytest.approx(1.08 * 0.058)


def test_a_name_is_no_formula_and_no_tag(document):
    rows = [dict(r, attack=f"$x_{i}$ <b>&") for i, r in enumerate(_rows(document))]
    for svg in (forest(rows, "a"), roc(rows, "b")):
        assert "$x_0$ <b>&" in _texts(svg)


def test_roc_is_drawn_for_each_attack_and_chance(document):
    svg = roc(_rows(document), "a")
    assert {"loss_threshold", "lira_online", "rmia", "chance"} <= set(_texts(svg))
    paths = [p.get("style", "") for p in ET.fromstring(svg).iter(f"{SVG}path")]
    for variable in ("s1", "s2", "s3"):
        assert [p for p in paths if f"var(--{variable})" in p]


def test_ids_of_two_charts_differ(document):
    def ids(svg):
        return {e.get("id") for e in ET.fromstring(svg).iter() if e.get("id")}

    one, two = forest(_rows(document), "a"), forest(_rows(document), "b")
    assert ids(one) and not ids(one) & ids(two)


def test_the_loop_shows_the_widest_sound_channel_of_each_axis(document):
    found = {a.axis: a for a in loop.arrows(document)}
    assert list(found) == ["data_to_data", "data_to_model", "model_to_data", "model_to_model"]
    leak = found["model_to_data"]
    assert leak.lines == (
        "≥ 21% of the secret",
        "0.262 [0.214, 0.301] bit",
        "lira online",
        "1 in 2 per record, n 8\u202f000",
    )
    assert leak.share == pytest.approx(0.214)
    assert found["data_to_model"].lines[2] == "badnets"


def test_an_axis_without_a_measurement_is_dashed_and_says_so(document):
    document["channels"] = [c for c in document["channels"] if c["axis"] != "data_to_model"]
    document["channels"] = [c for c in document["channels"] if c["attack"] != "knockoff"]
    found = {a.axis: a for a in loop.arrows(document)}
    assert found["data_to_model"].lines == ("no attack was played",)
    assert found["model_to_model"].lines == ("not measured",)
    # A run of a closed loop alone has no channel; its legs are what was played.
    legs = [{"axis": "data_to_model", "attack": "label_flip"}] * 2
    found = {a.axis: a for a in loop.arrows({**document, "loops": [{"legs": legs}]})}
    assert found["data_to_model"].lines == ("a leg of a loop, below", "label flip")
    svg = loop.picture(document)
    assert 'class="model_to_model shut"' in svg and 'class="model_to_data"' in svg


def _width(document):
    group = re.search(r'<g class="model_to_data"><path[^>]*stroke-width="([\d.]+)"', document)
    return float(group[1])


def test_an_arrow_is_as_thick_as_its_share_of_the_ceiling(document):
    before = _width(loop.picture(document))
    _rows(document)[1]["bits"]["low"] = 0.99
    assert _width(loop.picture(document)) > before + 3


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("standalone", [False, True])
def test_the_loop_is_well_formed_and_stays_inside_its_frame(document, narrow, standalone):
    svg = loop.picture(document, narrow=narrow, standalone=standalone)
    root = ET.fromstring(svg)
    width, height = map(float, root.get("viewBox").split()[2:])
    for card in root.iter(f"{SVG}rect"):
        assert float(card.get("x")) >= 0 and float(card.get("y")) >= 0
        assert float(card.get("x")) + float(card.get("width")) <= width
        assert float(card.get("y")) + float(card.get("height")) <= height
    assert ("<style>" in svg) is standalone
    assert len(svg.encode()) < 60_000


def test_the_caption_says_what_the_picture_shows(document):
    words = loop.caption(document)
    assert "model → data: ≥ 21% of the secret; 0.262 [0.214, 0.301] bit; lira online" in words
