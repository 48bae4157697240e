"""Closed loops in reports: the ring, its gains, the rounds, and each defense beside it."""

from __future__ import annotations

import math
import re
from itertools import groupby
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.report import sample

from hartley.engine.loop.loop_order import course
from hartley.engine.loop.loop_row import loop_row
from hartley.report import html, md, rings
from hartley.report.html import render

RING = ("one", "two", "three")


def clusters(gains, *, seed=0, count=8):
    """What ``play_loop`` returns of clusters of which the gains are known."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(count):
        share = 0.1 + 0.005 * np.random.default_rng(k).standard_normal()
        doses, rounds = [], [share]
        for source, target, gain in zip(RING, (*RING[1:], RING[0]), gains, strict=True):
            for dose in (0.0, 0.1, 0.3):
                left = gain * dose + 0.01 * rng.standard_normal()
                doses.append(
                    {"from": source, "to": target, "dose": dose, "set": dose, "left": left}
                )
        trace = []
        for number in (1, 2, 3):
            for source, target, gain in zip(RING, (*RING[1:], RING[0]), gains, strict=True):
                before, share = share, share * gain
                rounds.append(share)
                trace.append(
                    {
                        "round": number,
                        "step": len(rounds) - 1,
                        "from": source,
                        "to": target,
                        "attack": "<b>odd</b>",
                        "before": before,
                        "after": share,
                        "queries": 3,
                        "facts": {"taken": 2.0},
                    }
                )
        control = [0.0] * len(rounds)
        out.append({"doses": doses, "control": control, "rounds": rounds, "trace": trace})
    return out


def loop(gains=(1.5, 0.8, 0.7), added="", count=8):
    axes = ("data_to_data", "data_to_model", "model_to_data")
    described = {
        "path": [*RING, "one"],
        "legs": [
            {"from": i, "to": j, "attack": "<b>odd</b>", "axis": axis, "class": "x", "how": "so"}
            for i, j, axis in zip(RING, (*RING[1:], RING[0]), axes, strict=True)
        ],
        "assets": [{"name": name, "share": "of its coins"} for name in RING],
        "story": "Coins go round.",
        "start": 0.1,
        "rounds": 3,
        "clusters": 8,
    }
    return loop_row(described, clusters(gains, count=count), added=added, alpha=0.05, seed=0)


def meshed(clusters=8):
    """A loop with two chords: what each leg of each step leaves is known."""
    gains = {
        **dict(zip(zip(RING, (*RING[1:], RING[0]), strict=True), (1.5, 0.8, 0.7), strict=True)),
        ("one", "three"): 0.3,
        ("two", "one"): 0.4,
    }
    chords = [["one", "three"], ["two", "one"]]
    described = {
        "path": [*RING, "one"],
        "chords": chords,
        "legs": [
            {
                "from": i,
                "to": j,
                "attack": "carries",
                "axis": "data_to_data",
                "class": "x",
                "how": "",
            }
            for i, j in gains
        ],
        "assets": [{"name": name, "share": "of its coins"} for name in RING],
        "story": "Coins go round.",
        **{"start": 0.1, "rounds": 3, "clusters": clusters},
    }
    played = []
    for k in range(clusters):
        rng = np.random.default_rng(k)
        doses = [
            {"from": i, "to": j, "dose": d, "set": d, "left": gain * d + 0.01 * rng.normal()}
            for (i, j), gain in gains.items()
            for d in (0.0, 0.1, 0.3)
        ]
        shares, observed, trace = {"one": 0.1}, [0.1], []
        for step, group in groupby(course(described["path"], chords, 3), key=lambda row: row[0]):
            after = {}
            for _, asset, sources in group:
                after[asset] = sum(gains[i, asset] * shares[i] for i in sources)
                observed.append(after[asset])
                trace += [
                    {
                        **{"round": -(-step // 3), "step": step, "from": i, "to": asset},
                        **{"attack": "carries", "before": shares[i], "after": after[asset]},
                        **{"queries": 2, "facts": {}},
                    }
                    for i in sources
                ]
            shares = after
        control = [0.0] * len(observed)
        played.append({"doses": doses, "control": control, "rounds": observed, "trace": trace})
    return loop_row(described, played, added="", alpha=0.05, seed=0)


def test_chords_are_drawn_with_a_letter_and_a_line_that_explains_it():
    one = meshed()
    root = ElementTree.fromstring(rings.picture(one, "r"))
    assert sum(bool(node.get("marker-end")) for node in root.iter()) == 5
    words = "".join(root.itertext())
    assert "A · " in words and "one → three, carries" in words
    assert "B · " in words and "two → one, carries" in words
    width, height = map(float, root.get("viewBox").split()[2:])
    circles = [node for node in root.iter() if node.tag.endswith("circle")]
    places = [(float(c.get("cx")), float(c.get("cy")), float(c.get("r"))) for c in circles]
    for k, (x, y, r) in enumerate(places):
        assert r <= x <= width - r and r <= y <= height - r
        assert all(math.dist((x, y), other[:2]) > r + other[2] for other in places[:k])


def test_what_a_loop_with_chords_says_is_of_all_ways_round():
    one = meshed()
    true = np.array([[0, 1.5, 0.3], [0.4, 0, 0.8], [0.7, 0, 0]])
    assert one["radius"]["low"] < np.abs(np.linalg.eigvals(true)).max() < one["radius"]["high"]
    assert rings.sentence(one).startswith("In as many legs as the ring has, each compromised share")
    assert rings.weakest(one).startswith("Weakest cut: one → two, in ")
    heads = [row[0] for row in rings.gain_rows(one)]
    assert heads == ["one → two", "two → three", "three → one", "one → three", "two → one"]
    rows = list(rings.round_rows(one))
    assert "carries + carries" in {row[1] for row in rows} and rows[-1][2] == "one"
    assert [row["inside"] for row in one["rounds"]] == [True] * len(rows)
    for row in one["rounds"]:
        assert row["by_owners"]["value"] == pytest.approx(row["excess"], rel=0.4, abs=0.02)


def test_the_chart_of_a_loop_with_chords_is_of_the_asset_it_begins_with():
    one = meshed()
    chart = rings.of_page({"loops": [one]}, str)["course"]
    assert chart["title"] == (
        "Compromised share of one after each step of the rounds, means over clusters"
    )
    rows = [row for row in one["rounds"] if row["asset"] == "one"]
    assert 1 < len(rows) < len(one["rounds"])
    assert chart["label"].count(",") == 2 * len(rows) - 2
    assert "step 2" in chart["svg"]


def test_a_run_from_before_there_were_chords_is_still_drawn():
    old = loop()
    for row in (*old["rounds"], *old["trace"]):
        del row["step"]
    del old["chords"]
    assert list(rings.round_rows(old)) == list(rings.round_rows(loop()))
    assert rings.picture(old, "r") == rings.picture(loop(), "r")


@pytest.fixture
def document():
    return sample.document() | {"loops": [loop(), loop((1.5, 0.0, 0.7), "tape+glue")]}


def test_the_page_draws_the_ring_and_prints_before_and_after(document):
    page = render(document)
    assert "The closed loop" in page and "It creates no information" in page
    assert "As it is deployed" in page and "Behind tape + glue" in page
    assert "<b>odd</b>" not in page and "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "any of 3 legs opens the ring" in page
    assert "The loop without and behind each defense" in page
    # Every number of a gain has its interval beside it.
    assert len(re.findall(r"× −?\d\.\d+ \[", page)) == 6


def test_the_drawing_is_one_picture_with_an_arrow_for_each_leg():
    one = loop()
    root = ElementTree.fromstring(rings.picture(one, "r"))
    ends = [node for node in root.iter() if node.get("marker-end")]
    assert len(ends) == 3
    width, height = map(float, root.get("viewBox").split()[2:])
    for node in root.iter():
        if node.get("x") is not None and node.tag.endswith("rect"):
            assert 0 <= float(node.get("x")) <= width - float(node.get("width"))
            assert 0 <= float(node.get("y")) <= height - float(node.get("height"))


def test_a_pull_request_has_the_sentence_and_both_tables(document):
    text = md.render(document)
    assert "## The closed loop" in text and "Once round the loop, each compromised share" in text
    assert "Once round the loop behind tape+glue" in text
    assert text.count("| one → two |") == 2


def test_a_leg_that_may_do_nothing_is_dashed_and_said_so(document):
    null = document["loops"][1]
    words = [row[4] for row in rings.gain_rows(null)]
    assert "may be 0" in words[1] and "may be 0" not in words[0]
    assert rings.picture(null, "r").count(" shut") == 1
    assert "share of one above that of an untouched loop fell" in rings.sentence(null)
    assert "dies out" in rings.sentence(loop((0.9, 0.8, 0.7)))
    assert "a small compromise grows" in rings.sentence(loop((1.5, 1.2, 1.1)))


def test_too_few_clusters_have_no_gains_and_say_why(document):
    few = sample.document() | {"loops": [loop(count=3)]}
    page = render(few)
    assert "intervals need 4 clusters, and 3 were played" in page
    assert rings.sentences(few) == [] and "closed loop" not in md.render(few).lower()


def test_a_run_of_a_loop_alone_is_not_said_to_be_empty(document):
    alone = {**document, "channels": [], "defenses": [], "edges": []}
    alone["verdict"] = {"status": "pass", "reasons": [], "checks": []}
    page = html.render(alone)
    assert "nothing is known" not in page and "Once round the loop" in page
