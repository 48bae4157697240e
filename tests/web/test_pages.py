"""The pages as text: what they say, and what they do with what is damaged or hostile."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.report.sample import document as sample_document
from tests.web.conftest import state_of
from tests.web.stores import SCRIPT, cut, trials, trials_bytes, write

from hartley.core.errors import StoreError
from hartley.engine.result.compare_runs import Side, compare_runs
from hartley.report.format_numbers import percent
from hartley.store import glance
from hartley.web.access import Access
from hartley.web.compare_page import ABSENT, _folded
from hartley.web.pages import pages_of
from hartley.web.row_pages import trial_lines
from hartley.web.stored import Stored


class Pages:
    """The pages of a store, read by the application's own client, with no token asked for."""

    def __init__(self, store):
        import asyncio

        self.loop = asyncio.new_event_loop()
        pages = pages_of(store)

        async def start():
            server = TestServer(web_app(pages))
            client = TestClient(server)
            await client.start_server()
            return client

        def web_app(pages):
            return pages.app(AnyHost(None, frozenset()))

        self.client = self.loop.run_until_complete(start())

    def get(self, path, **options):
        async def ask():
            answer = await self.client.get(path, **options)
            return answer, await answer.text()

        return self.loop.run_until_complete(ask())

    def text(self, path, status=200):
        answer, text = self.get(path)
        assert answer.status == status, text
        return text

    def close(self):
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


class AnyHost(Access):
    """The client's port is drawn; who may read is tested in test_access.py."""

    def refusal(self, request):
        return None


@pytest.fixture(scope="module")
def pages(filled, as_filled):
    opened = Pages(filled)
    yield opened
    opened.close()


@pytest.fixture
def opened(store):
    pages = Pages(store)
    yield pages, store
    pages.close()


def words(page):
    """A page without its marks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_list_has_every_run_with_its_verdict(pages, filled):
    page = words(pages.text("/"))
    assert f"7 in {filled}" in page
    for run, status in {"old": "over", "half": "unfinished", "damaged": "damaged"}.items():
        assert re.search(rf"\b{run} .{{0,400}}?{status}", page), run
    assert "2 in the store are not runs foreign notes.txt" in page
    assert re.search(r"half unfinished 2 of \d+ jobs", page)


def test_the_list_is_searched_filtered_and_sorted(pages):
    page = words(pages.text("/?q=ol+LIVE"))
    assert "1 of them listed" in page and "old" in page
    assert "hostile" not in page
    damaged = words(pages.text("/?status=damaged"))
    assert "2 of them listed" in damaged
    by_name = pages.text("/?sort=id")
    order = re.findall(r'scope="row"><a href="/runs/(\w+)"', by_name)
    assert order == sorted(order) and len(order) == 7
    assert "No run matches" in pages.text("/?q=nothing+like+it")


def test_a_list_of_more_than_a_page_is_turned(pages, monkeypatch):
    monkeypatch.setattr("hartley.web.pages.PAGE", 3)
    first, third = pages.text("/?sort=id"), pages.text("/?sort=id&page=3")
    assert first.count('scope="row"') == 3 and third.count('scope="row"') == 1
    assert 'rel="next" href="/?sort=id&amp;page=2"' in first
    assert 'rel="prev" href="/?sort=id&amp;page=2"' in third
    for odd in ("-1", "999", "x", "1" * 40, "²"):
        assert pages.get(f"/?page={quote(odd)}")[0].status == 200


def test_a_run_says_its_verdict_loop_rows_and_defenses(pages, filled):
    page = pages.text("/runs/new")
    text = words(page)
    document = json.loads((filled / "new" / "run.json").read_text())
    row = next(r for r in document["channels"] if r["attack"] == "loss_threshold")
    assert "Over" in text and "model → data" in text
    assert f"/runs/new/rows/{row['id']}" in page
    assert f"[{row['bits']['low']:.3f}, {row['bits']['high']:.3f}]" in text
    assert "Which defense" in text and "label_only" in text
    assert page.count('role="img"') == 2  # wide and tall


def test_rows_are_searched_sorted_and_chosen(pages):
    page = pages.text("/runs/many?q=attack_07")
    assert page.count('href="/runs/many/rows/') == 10
    rows = re.findall(r"rows/row-(\d+)", pages.text("/runs/many?sort=attack"))
    assert len(rows) == 500 and rows == sorted(rows, key=int)
    skipped = words(pages.text("/runs/new?show=skipped"))
    assert "skipped: " in skipped


def test_the_widest_row_is_first_when_sorted_by_bits(pages, filled):
    rows = re.findall(r"/runs/new/rows/([\w-]+)", pages.text("/runs/new?sort=bits"))
    document = json.loads((filled / "new" / "run.json").read_text())
    lows = {r["id"]: r["bits"]["low"] for r in document["channels"] if r["status"] == "measured"}
    assert [lows[row] for row in rows] == sorted(lows.values(), reverse=True)


def test_the_whole_report_is_that_of_hartley_report(pages, filled):
    from hartley.report import render

    answer, page = pages.get("/runs/new/report")
    document = json.loads((filled / "new" / "run.json").read_text())
    assert page == render(document, "html")
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert "no report yet" in pages.text("/runs/half/report", 409)


def test_a_row_has_its_trials_page_by_page(pages):
    path = pages.text("/runs/hostile").split('href="/runs/hostile/rows/')[1].split('"')[0]
    path = f"/runs/hostile/rows/{path}"
    first = words(pages.text(path))
    assert "250 trials" in first and "Lines 1 to 100" in first and "Page 1 of 3" in first
    assert "Lines 201 to 250" in words(pages.text(f"{path}?page=3"))
    assert "Lines 201 to 250" in words(pages.text(f"{path}?page=99"))
    wrong = words(pages.text(f"{path}?show=wrong"))
    assert "62 trials whose answer is wrong" in wrong


def test_trials_say_what_was_sent_and_received():
    table = trial_lines(trials(), 0, "wrong")
    head = table["head"]
    assert table["total"] == 62
    assert all(line[head.index("Right")] == "no" for line in table["lines"])
    question, answer = head.index("Question (secret)"), head.index("Answer")
    assert table["lines"][0][question] == "0" and table["lines"][0][answer] == "1"
    assert table["lines"][0][head.index("About")].endswith(" 3")


def test_trials_of_real_play_are_those_of_its_file(pages, filled):
    from hartley.store import read_trials

    document = json.loads((filled / "new" / "run.json").read_text())
    row = next(r for r in document["channels"] if r["attack"] == "loss_threshold")
    page = words(pages.text(f"/runs/new/rows/{row['id']}"))
    path = next(p for p in (filled / "new" / "trials").iterdir() if p.name.startswith(row["id"]))
    stored = read_trials(path)
    assert f"{len(stored.truth)} trials" in page.replace("\u202f", "")
    assert "Answer (score)" in page


def test_nothing_of_a_run_becomes_markup(pages):
    path = pages.text("/runs/hostile").split('href="/runs/hostile/rows/')[1].split('"')[0]
    addresses = ("/", "/runs/hostile?show=all", "/runs/hostile/report")
    for address in (*addresses, f"/runs/hostile/rows/{path}", f"/?q={quote(SCRIPT)}"):
        page = pages.text(address)
        assert "<script>alert" not in page and "<img src=x" not in page, address
        assert "\u202e" not in page and "\x1b" not in page, address
        assert "alert(1)" in page, address
    assert "<script>" not in pages.text(f"/runs/new/rows/{quote(SCRIPT, safe='')}", 404)
    assert "<script>" not in pages.text(f"/runs/{quote(SCRIPT, safe='')}", 404)


def test_two_runs_are_compared_as_the_command_does(pages, filled, call_json):
    page = words(pages.text("/compare?first=old&second=new"))
    expected = call_json(filled)
    assert expected["status"].capitalize() in page
    for row in expected["rows"]:
        assert f"{row['attack']}" in page and row["status"] in page


@pytest.fixture
def call_json():
    from hartley.cli.find_run import read_with_trials
    from hartley.engine.result.compare_runs import Side, compare_runs

    def compared(store):
        sides = [Side(*read_with_trials(run, store)[:2]) for run in ("old", "new")]
        return compare_runs(*sides)

    return compared


def test_what_cannot_be_compared_says_why(pages):
    page = words(pages.text("/compare?first=old&second=half"))
    assert "half cannot be compared: it is not finished" in page
    assert "damaged cannot be compared" in words(pages.text("/compare?first=damaged&second=old"))
    assert "no run" in words(pages.text("/compare?first=old&second=../old", 404))


def test_the_words_are_those_of_explain(pages):
    from hartley.report.words import words as entries

    page = pages.text("/words")
    assert page.count('class="entry"') == len(entries())


def test_an_unfinished_run_is_read_while_it_plays(opened):
    pages, store = opened
    page = words(pages.text("/runs/half"))
    assert "Not finished" in page and "No process plays it" in page
    before = json.loads(pages.text("/runs/half/progress"))
    assert before["done"] == 2 and before["planned"] > 2 and not before["ended"]
    shutil.rmtree(store / "half")
    shutil.copytree(store / "new", store / "half")
    cut(store, "half", 3)
    assert json.loads(pages.text("/runs/half/progress"))["done"] == 3
    assert json.loads(pages.text("/runs/new/progress")) == {"ended": True}


def test_a_held_run_is_played_now(opened):
    from hartley.store.disk import hold

    pages, store = opened
    lock = hold(store / "half")
    try:
        assert "A process plays it now" in json.loads(pages.text("/runs/half/progress"))["words"]
    finally:
        lock.release()
    assert "No process plays it" in json.loads(pages.text("/runs/half/progress"))["words"]


def test_an_unfinished_run_shows_the_rows_and_trials_that_are_there(pages):
    page = pages.text("/runs/half")
    (path, *_) = re.findall(r'href="(/runs/half/rows/[^"]+)"', page)
    assert "Lines 1 to 100" in words(pages.text(path))


def test_a_damaged_run_is_shown_as_such(pages):
    page = words(pages.text("/runs/damaged"))
    assert "Inconclusive" in page and "run.json is not the document that was written" in page
    torn = words(pages.text("/runs/torn"))
    assert "Damaged" in torn and "header of a journal" in torn


def test_damage_is_seen_in_a_run_that_was_read_before(opened):
    pages, store = opened
    assert "trials is missing" not in pages.text("/runs/new")
    victim = next((store / "new" / "trials").iterdir())
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    assert f"trials/{victim.name} is missing or damaged" in pages.text("/runs/new")


def test_a_document_of_any_shape_makes_a_page(opened):
    pages, store = opened
    row = {"id": "a", "status": "measured", "attack": 3, "bits": {"point": "x"}, "metrics": []}
    for i, rows in enumerate(([row], [{**row, "bits": None}], [])):
        odd = json.loads((store / "old" / "run.json").read_text())
        odd["verdict"], odd["scene"] = {"status": 7, "checks": "no"}, {"name": ["x"]}
        write(store, f"odd{i}", odd, rows)
        answer, page = pages.get(f"/runs/odd{i}")
        assert answer.status in (200, 409, 500) and "Traceback" not in page
    assert pages.get("/")[0].status == 200


@pytest.mark.parametrize("part", ["run", "run.json", "journal.jsonl", "trials", "trial"])
def test_links_are_not_followed(opened, tmp_path, part):
    pages, store = opened
    target, folder = tmp_path / "elsewhere", store / "new"
    trial = next((folder / "trials").iterdir())
    place = {"run": folder, "trial": trial}.get(part, folder / part)
    shutil.move(place, target)
    place.symlink_to(target)
    page = words(pages.text("/runs/new"))
    assert "link" in page and "Bits per use" not in page
    pages.text("/")


def test_a_journal_cannot_name_trials_of_another_place(opened, tmp_path):
    from hartley.store.journal import journal_bytes, read_journal

    pages, store = opened
    (tmp_path / "outside.parquet").write_bytes(trials_bytes())
    path = store / "hostile" / "journal.jsonl"
    lines = list(read_journal(path).lines)
    lines = [
        {**line, "trials": "../../outside.parquet"} if "trials" in line else line for line in lines
    ]
    path.write_bytes(journal_bytes(lines)[0])
    page = words(pages.text("/runs/hostile"))
    assert "Damaged" in page and "Lines 1 to" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2F..%2Fetc%2Fpasswd",
        "/runs/%2E%2E",
        "/runs/latest",
        "/runs/foreign",
        "/runs/notes.txt",
        "/runs/" + "a" * 500,
        "/runs/new%00",
        "/runs/new/rows/..%2F..%2Frun.json",
        "/static/..%2Faccess.py",
        "/static/__init__.py",
        "/static/frame.html",
        "/etc/passwd",
    ],
)
def test_no_address_leads_out(pages, path):
    from yarl import URL

    answer, page = pages.get(URL(path, encoded=True))
    assert answer.status in (400, 404) and "root:" not in page
    assert "Hartley" in page


def test_nothing_is_written_into_a_run(pages, filled, as_filled):
    """Of all pages that were asked for until now, and of each kind of page."""
    kinds = ("", "/loop", "/matrix", "/report", "/progress")
    for path in ("/", *(f"/runs/new{kind}" for kind in kinds), "/compare?first=old&second=new"):
        pages.text(path)
    assert state_of(filled) == as_filled


def journal_of(store, name, lines):
    """Write a journal whose digests are right."""
    from hartley.store.journal import journal_bytes

    folder = store / name
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(journal_bytes(lines)[0])


def test_a_journal_of_any_shape_costs_its_own_page_alone(opened):
    from hartley.store.journal import read_journal

    pages, store = opened
    header, planned, *_ = read_journal(store / "half" / "journal.jsonl").lines
    row = {"key": [1], "standing": {"id": "a"}}
    shapes = ([1, 2], 3, {"rows": 1}, [row], [{"key": "../../x", "standing": 1}])
    for i, rows in enumerate(shapes):
        journal_of(store, f"odd{i}", [header, {**planned, "lines": {"rows": rows}}])
    assert "odd0" in pages.text("/")
    for i in range(len(shapes)):
        answer, page = pages.get(f"/runs/odd{i}")
        assert answer.status in (200, 500) and "Traceback" not in page
        assert pages.get(f"/runs/odd{i}/progress")[0].status == 200


def test_files_that_are_none_do_not_hold_the_list(opened):
    pages, store = opened
    for name, make in {"pipe": os.mkfifo, "folder": Path.mkdir}.items():
        (store / name).mkdir()
        make(store / name / "journal.jsonl")
    (store / "loop").symlink_to(store / "loop")
    (store / "up").symlink_to(store)
    bad = store / os.fsdecode(b"bad\xff")
    bad.mkdir()
    shutil.copy(store / "half" / "journal.jsonl", bad)
    shutil.copytree(store / "old", store / "old copy")
    page = words(pages.text("/"))
    for name in ("pipe", "folder", "up", "bad", "old copy"):
        assert name in page
    assert "Not finished" in pages.text("/runs/bad%FF")
    assert "holds another run, old" in words(pages.text("/runs/old%20copy"))
    assert pages.get("/runs/pipe")[0].status == 200


def test_a_long_text_of_a_run_is_cut(opened):
    pages, store = opened
    document = json.loads((store / "old" / "run.json").read_text())
    row = next(r for r in document["channels"] if r["status"] == "measured")
    long = {**row, "id": "long", "status": "failed", "reason": "x" * 3_000_000, "bits": None}
    write(store, "long", document, [long, {**row, "id": "b", "summary": "y" * 3_000_000}])
    for path in (
        "/runs/long?show=all",
        "/runs/long/rows/long",
        "/runs/long/rows/b",
        "/runs/long/loop",
    ):
        assert len(pages.text(path)) < 300_000, path


def test_more_rows_than_a_page_holds_are_turned(pages, monkeypatch):
    monkeypatch.setattr("hartley.web.pages.ROWS", 400)
    first, second = pages.text("/runs/many"), pages.text("/runs/many?page=2")
    assert first.count("/runs/many/rows/") == 400 and second.count("/runs/many/rows/") == 100
    assert "data-filter" not in first and "page=2#rows" in first  # it would filter one page alone
    assert pages.text("/runs/many?q=attack_11").count("/runs/many/rows/") == 10


def test_what_a_broken_page_prints_acts_on_no_terminal(opened, caplog):
    pages, store = opened
    document = json.loads((store / "old" / "run.json").read_text())
    write(
        store, "loud", {**document, "verdict": {"status": "pass", "checks": [{"\x1b[2J": 1}]}}, []
    )
    pages.get("/runs/loud")
    pages.get("/runs/loud?show=\x1b[2J")
    assert "\x1b" not in caplog.text


def test_the_loop_leads_to_rows_that_are_there(pages, filled):
    document = json.loads((filled / "new" / "run.json").read_text())
    rows = [r for r in document["channels"] if r["status"] != "skipped" and r.get("baseline", True)]
    loop = pages.text("/runs/new/loop")
    assert set(re.findall(r"/runs/new/rows/([^\"]+)", loop)) == {row["id"] for row in rows}
    assert loop.count('href="#model_to_data"') == 4  # path and card, of both pictures
    assert "2 of" in words(pages.text("/runs/half/loop"))
    assert "can be read" in words(pages.text("/runs/torn/loop", 409))


def test_the_cells_of_the_matrix_lead_to_the_rows_they_were_read_off(pages, filled):
    document = json.loads((filled / "new" / "run.json").read_text())
    ids = {row["id"]: row for row in document["channels"]}
    matrix = pages.text("/runs/new/matrix")
    link = r'<td[^>]*>([^<]+)<[^/]*/span><span[^>]*><a href="/runs/new/rows/([^"]+)"'
    label = r' aria-label="(\w+) behind (\w+): the row of the (\w+) attacker"'
    cells = re.findall(link + label, matrix)
    assert {(attack, defense) for _, _, attack, defense, _ in cells} == {
        (attack, defense)
        for attack in ("loss_threshold", "entropy_metrics")
        for defense in ("rounding", "label_only")
    }
    for value, row, attack, defense, knowledge in cells:
        assert ids[row]["attack"] == attack and ids[row]["knowledge"] == knowledge
        assert [part["name"] for part in ids[row]["experiment"]["defenses"]] == [defense]
        rows = [r for r in ids.values() if (r["attack"], _behind(r)) == (attack, defense)]
        bits = [r["bits"]["point"] for r in rows if r["status"] == "measured"]
        stronger = max(0.0, *bits, 0.0)  # of a secret of one bit
        assert percent(stronger) == value
    assert "measured no defenses" in words(pages.text("/runs/old/matrix"))
    assert "once the run has ended" in words(pages.text("/runs/half/matrix"))


def _behind(row):
    return "+".join(part["name"] for part in row["experiment"]["defenses"])


def test_a_margin_is_that_of_the_command(pages, filled):
    from hartley.cli.find_run import read_with_trials
    from hartley.engine.result.compare_runs import Side, compare_runs

    sides = [Side(*read_with_trials(run, filled)[:2]) for run in ("old", "new")]
    for margin in ("1", "0", "0,5", ""):
        page = words(pages.text(f"/compare?first=old&second=new&margin={margin}"))
        share = float(margin.replace(",", ".") or 0.01)
        expected = compare_runs(*sides, margin=share)
        for row in expected["rows"]:
            assert row["status"] in page and row["reason"] in page
        assert expected["status"].capitalize() in page and f"margin of {percent(share)}" in page
    for odd in ("-1", "1.5", "nan", "inf", "x", "<b>"):
        page = pages.text(f"/compare?first=old&second=new&margin={quote(odd)}")
        assert "must be a share in 0..1" in page and "<b>" not in page
    chosen = re.findall(r'value="([^"]+)" selected', pages.text("/compare"))
    assert len(chosen) == 2 and chosen[0] != chosen[1]
    assert "compared with itself" in pages.text("/compare?first=old&second=old")


def test_a_share_of_round_off_is_none():
    assert percent(5.55e-17) == percent(-1e-16) == percent(0.0) == "0%"
    assert percent(1e-9) == "1e-07%"


def test_words_are_filtered_without_a_script(pages):
    page = pages.text("/words?q=certified")
    assert 0 < page.count('class="entry"') < pages.text("/words").count('class="entry"')
    assert "data-filter" not in page


def test_a_trial_is_asked_for_by_its_number():
    table = trial_lines(trials(), 0, "all", "217")
    assert table["first"] == 200 and table["here"] == 17 and table["lines"][17][0] == "217"
    for odd in ("250", "-1", "1e3", "x", "9" * 40, "²"):
        assert trial_lines(trials(), 100, "all", odd)["here"] is None
    wrong = trial_lines(trials(), 0, "wrong", "219")
    assert wrong["lines"][wrong["here"]][0] == "219"
    assert trial_lines(trials(), 0, "wrong", "218")["here"] is None


def test_a_store_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        Stored(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not a folder"):
        Stored(tmp_path / "file")


def test_an_empty_store_says_how_to_begin(tmp_path):
    pages = Pages(tmp_path)
    assert "has no runs yet" in pages.text("/")
    assert "the store has 0" in pages.text("/compare")
    pages.close()


def test_a_verdict_that_was_read_off_the_end_of_a_journal_says_so_until_the_run_is_read(
    opened, monkeypatch
):
    pages, _ = opened
    read, check = threading.Event(), glance.Listing._check
    monkeypatch.setattr(glance.Listing, "_check", lambda self: read.wait(30) and check(self))
    assert "files not compared yet" in pages.text("/")
    read.set()
    limit = time.monotonic() + 30
    while "files not compared yet" in pages.text("/"):
        assert time.monotonic() < limit


def test_rows_that_the_second_run_lacks_are_one_reason() -> None:
    document = json.loads(json.dumps(sample_document()))
    few = {**document, "channels": document["channels"][:1]}
    sides = (Side(whole, lambda _row: None) for whole in (document, few))
    reasons = compare_runs(*sides)["reasons"]
    absent = [reason for reason in reasons if reason.endswith(ABSENT)]
    assert len(absent) > 1
    folded = _folded(reasons)
    assert len(folded) == len(reasons) - len(absent) + 1
    assert folded[-1].startswith(f"{len(absent)} rows are only in the first run: ")
    assert all(reason.removesuffix(ABSENT) in folded[-1] for reason in absent)
    assert _folded(absent[:1]) == absent[:1]
