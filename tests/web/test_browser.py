"""The pages in a real Chromium: by keyboard, without script, narrow, dark, and hostile runs."""

from __future__ import annotations

import itertools
import shutil

import pytest
from tests.web.conftest import Served
from tests.web.stores import cut

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (the dependency group dev)"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]

PAGES = {
    "list": "/",
    "run": "/runs/new",
    "skipped": "/runs/new?show=all",
    "unfinished": "/runs/half",
    "hostile": "/runs/hostile?show=all",
    "damaged": "/runs/damaged",
    "torn": "/runs/torn",
    "compare": "/compare",
    "compared": "/compare?first=old&second=new",
    "words": "/words?q=x",
    "absent": "/runs/none",
    "row": "/runs/hostile/rows/{row}",
    "loop": "/runs/new/loop",
    "hostile loop": "/runs/hostile/loop",
    "matrix": "/runs/new/matrix",
    "no matrix": "/runs/old/matrix",
}
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(served):
    return served


def entered(browser, server, **options):
    """A page of a browser that has the cookie, and collects what goes wrong in it."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, **options)
    cookie = {"name": f"hartley-{server.port}", "value": server.token, "url": server.address}
    context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Strict"}])
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: page.problems.append(dialog.message))
    page.on(
        "console",
        lambda m: page.problems.append(m.text) if "Content Security" in m.text else None,
    )
    page.on(
        "request",
        lambda r: (
            None if r.url.startswith(server.address) else page.problems.append(f"loads {r.url}")
        ),
    )
    return page


@pytest.fixture
def open_page(browser):
    """Return what opens a page of a server."""
    contexts = []

    def open_it(server, path="/", **options):
        page = entered(browser, server, **options)
        contexts.append(page.context)
        page.goto(server.address + path)
        return page

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def address(server, browser):
    """Return the address of a page by its name."""
    page = entered(browser, server)
    page.goto(f"{server.address}/runs/hostile")
    row = page.locator("#row-table a").first.get_attribute("href").split("/rows/")[1]
    page.context.close()
    return {name: path.format(row=row) for name, path in PAGES.items()}


@pytest.fixture(scope="module", params=PAGES)
def looked_at(request, browser, server, address):
    """Each page once, for all that looks at it."""
    page = entered(browser, server, reduced_motion="reduce")
    page.goto(server.address + address[request.param])
    yield page
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(looked_at, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = looked_at
    page.set_viewport_size({"width": 1200, "height": 800})
    page.emulate_media(color_scheme=scheme)
    findings = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:160] for node in one["nodes"]][:3])
        for one in findings
        if one["impact"] in SERIOUS
    ]
    assert not serious
    assert not page.problems


@pytest.mark.parametrize("width", [320, 360])
def test_a_page_fits_a_telephone(looked_at, width):
    looked_at.set_viewport_size({"width": width, "height": 640})
    assert looked_at.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_has_its_landmarks_and_headings(looked_at):
    page = looked_at
    for landmark in ("header", "main", "footer", "nav"):
        assert page.locator(landmark).count() >= 1, landmark
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    headless = (
        "[...document.querySelectorAll('table')].filter(t => !t.querySelector('th[scope=col]')"
        " || !t.caption || [...t.tBodies[0].rows].some(r => !r.querySelector('th[scope=row]')))"
    )
    assert page.evaluate(f"{headless}.length") == 0
    assert not page.problems


def test_the_token_leaves_the_address_and_no_script_reads_the_cookie(server, browser, open_page):
    page = open_page(server)
    page.context.clear_cookies()
    page.goto(f"{server.address}/?token={server.token}")
    assert page.url == f"{server.address}/"
    assert page.evaluate("document.cookie") == ""
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_a_browser_without_the_cookie_reads_nothing(server, browser):
    context = browser.new_context()
    page = context.new_page()
    assert page.goto(f"{server.address}/runs/new").status == 403
    assert page.locator("main").inner_text().startswith("Not here")
    context.close()


def test_the_first_tab_skips_to_the_content(server, open_page):
    page = open_page(server, "/runs/new")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_keys_alone_lead_from_the_list_to_a_trial(server, open_page):
    page = open_page(server, "/?q=hostile")

    def go_to(text):
        for _ in range(40):
            page.keyboard.press("Tab")
            if text in page.evaluate("document.activeElement.closest('a')?.textContent ?? ''"):
                return
        raise AssertionError(f"{text} is not reached")

    go_to("hostile")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/hostile")
    go_to("alert(1)")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rows/**")
    go_to("Next")
    page.keyboard.press("Enter")
    page.wait_for_url("**page=2#trials")
    assert "Lines 101 to 200" in page.locator("caption").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_is_seen(server, open_page, scheme):
    page = open_page(server, "/runs/new", color_scheme=scheme)
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(s => [s.outlineStyle, parseFloat(s.outlineWidth)])"
            "(getComputedStyle(document.activeElement))"
        )
        assert style[0] != "none" and style[1] >= 2


def test_rows_are_filtered_as_one_types(server, open_page):
    page = open_page(server, "/runs/many")
    page.locator("input[name=q]").press_sequentially("attack_12")
    assert page.locator("#row-table tbody tr:visible").count() == 10
    assert page.locator("[data-count=row-table]").inner_text() == "10"
    page.locator("input[name=q]").fill("")
    assert page.locator("[data-count=row-table]").inner_text() == "500"


def test_words_are_filtered_as_one_types(server, open_page):
    page = open_page(server, "/words")
    page.locator("input[name=q]").press_sequentially("certified")
    assert 0 < page.locator(".entry:visible").count() < page.locator(".entry").count()


def test_all_works_without_script(server, open_page):
    page = open_page(server, "/runs/many", java_script_enabled=False)
    page.locator("input[name=q]").fill("attack_12")
    page.locator("main button").click()
    assert page.locator("#row-table tbody tr").count() == 10
    page.goto(f"{server.address}/compare")
    page.locator("select[name=first]").select_option("old")
    page.locator("select[name=second]").select_option("new")
    page.locator("main button").click()
    assert page.locator("#verdict").inner_text() in ("Worse", "Open", "No worse")


def test_the_list_is_searched_in_a_form(server, open_page):
    page = open_page(server)
    page.locator("input[name=q]").fill("old")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=old**")
    assert page.locator("tbody tr").count() == 1
    page.go_back()
    assert page.locator("tbody tr").count() == 7


def test_the_page_that_is_open_is_marked(server, open_page):
    for path, name in {"/": "Runs", "/compare": "Compare", "/words": "Words"}.items():
        page = open_page(server, path)
        assert page.locator("[aria-current=page]").inner_text() == name


def test_texts_of_a_run_run_nothing(server, open_page, address):
    for name in ("hostile", "row", "list"):
        page = open_page(server, address[name])
        page.wait_for_load_state("networkidle")
        assert page.locator("script").count() == 1
        assert page.locator("main img").count() == 0
        assert not page.problems
    page = open_page(server, "/runs/hostile/report")
    page.wait_for_load_state("networkidle")
    assert page.locator("script").count() == 0 and not page.problems


def test_the_policy_stops_a_script_that_gets_in(server, open_page):
    page = open_page(server, "/runs/new")
    page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); })()"
    )
    assert page.evaluate("window.ran") is None
    assert any("Content Security" in words for words in page.problems)


def test_a_run_that_plays_is_followed_and_then_shown(open_page, serve, store):
    page = open_page(serve, "/runs/half")
    words = page.locator("[data-words]")
    assert words.inner_text().startswith("2 of")
    for jobs in (3, None):
        shutil.rmtree(store / "half")
        shutil.copytree(store / "new", store / "half")
        if jobs:
            cut(store, "half", jobs)
            playwright.expect(words).to_contain_text("3 of", timeout=15_000)
            assert page.locator("progress").get_attribute("value") is not None
    playwright.expect(page.locator("[data-progress]")).to_have_count(0, timeout=15_000)
    assert page.locator("#verdict").inner_text() != "Not finished"


def test_a_server_that_ended_is_said(open_page, store):
    server = Served(store)
    page = open_page(server, "/runs/half")
    server.stop()
    words = page.locator("[data-words]")
    playwright.expect(words).to_contain_text("does not answer", timeout=15_000)


def test_500_rows_scroll_without_a_stall(server, open_page):
    page = open_page(server, "/runs/many")
    assert page.locator("#row-table tbody tr").count() == 500
    gaps = page.evaluate(
        """() => new Promise((done) => {
          const box = document.querySelector('.scroll:has(#row-table)');
          const gaps = []; let last = performance.now(), k = 0;
          const step = (now) => {
            gaps.push(now - last); last = now; box.scrollTop += 400;
            if (++k < 100) requestAnimationFrame(step); else done([box.scrollTop, gaps]);
          };
          requestAnimationFrame(step);
        })"""
    )
    assert gaps[0] > 10_000
    times = sorted(gaps[1])
    assert times[50] < 40 and times[95] < 150, times[-5:]


def test_motion_is_reduced_where_that_is_asked_for(server, open_page):
    motion = "getComputedStyle(document.documentElement).scrollBehavior"
    assert open_page(server, "/words", reduced_motion="reduce").evaluate(motion) == "auto"
    assert open_page(server, "/words", reduced_motion="no-preference").evaluate(motion) == "smooth"


def test_dark_is_dark(server, open_page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = open_page(server, color_scheme="light").evaluate(ground)
    assert light == "rgb(255, 255, 255)"
    assert open_page(server, color_scheme="dark").evaluate(ground) == "rgb(20, 23, 27)"


def test_the_picture_of_the_loop_is_the_upright_one_where_it_is_narrow(server, open_page):
    page = open_page(server, "/runs/new")
    assert page.locator("svg.loop:visible").count() == 1
    wide = page.locator("svg.loop:visible").bounding_box()
    page.set_viewport_size({"width": 360, "height": 700})
    tall = page.locator("svg.loop:visible").bounding_box()
    assert wide["width"] > wide["height"] and tall["height"] > tall["width"]


def test_the_matrix_of_defenses_is_a_table_with_headings(server, open_page):
    page = open_page(server, "/runs/new/matrix")
    table = page.locator("[aria-label='Matrix of attacks and defenses'] table")
    heads = table.locator("th[scope=col]").all_inner_texts()
    assert {"rounding", "label_only"} <= set(heads)
    assert table.locator("tbody th[scope=row]").count() >= 2
    link = table.get_by_label("loss_threshold behind rounding: the row of the static attacker")
    link.click()
    page.wait_for_url("**/rows/**")
    assert "behind rounding" in page.locator(".facts").first.inner_text()


def test_an_arrow_of_the_loop_leads_to_its_rows_by_mouse_and_by_key(server, open_page):
    page = open_page(server, "/runs/new/loop")
    card = page.locator("svg.loop:visible a[aria-label^='model → data']")
    card.locator("rect").click()
    assert page.url.endswith("#model_to_data")
    page.goto(f"{server.address}/runs/new/loop")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == (
            card.get_attribute("aria-label")
        ):
            break
    page.keyboard.press("Enter")
    assert page.url.endswith("#model_to_data")
    page.locator("#rows-model_to_data a").first.click()
    page.wait_for_url("**/rows/**")


def test_a_margin_is_typed(server, open_page):
    page = open_page(server, "/compare")
    page.locator("select[name=first]").select_option("old")
    page.locator("select[name=second]").select_option("new")
    page.get_by_label("Margin").fill("1")
    page.keyboard.press("Enter")
    page.wait_for_url("**margin=1*")
    assert page.locator("#verdict").inner_text() != "Not compared"
    assert page.get_by_label("Margin").input_value() == "1"
    page.get_by_label("Margin").fill("two")
    page.keyboard.press("Enter")
    page.wait_for_url("**margin=two*")
    assert "must be a share in 0..1, got 'two'" in page.locator(".verdict").inner_text()


def test_a_trial_is_found_by_its_number(server, open_page, address):
    page = open_page(server, address["row"])
    page.get_by_label("Number of a trial").fill("217")
    page.keyboard.press("Enter")
    page.wait_for_url("**trial=217**")
    here = page.locator("tr[aria-current=true]")
    assert here.locator("th").inner_text() == "217"
    assert "Lines 201 to 250" in page.locator("caption").inner_text()
    box, region = here.bounding_box(), page.locator(".scroll").bounding_box()
    assert region["y"] < box["y"] < region["y"] + region["height"] - box["height"]
    assert 0 < box["y"] < 800


def test_a_start_file_of_this_user_opens_the_pages(server, browser):
    """The token is in no command line, and the cookie is sent although a file has led here."""
    from hartley.web.serving import opening

    context = browser.new_context()
    with opening(f"{server.address}/?token={server.token}") as place:
        page = context.new_page()
        page.goto(place)
        page.wait_for_url(f"{server.address}/")
    assert page.locator("h1").inner_text() == "Runs"
    context.close()


def test_progress_is_announced_in_steps_and_a_reader_is_not_torn_away(open_page, serve, store):
    page = open_page(serve, "/runs/half")
    page.locator("input[name=q]").focus()
    shutil.rmtree(store / "half")
    shutil.copytree(store / "new", store / "half")
    heard = page.locator("[data-heard]")
    assert heard.get_attribute("role") == "status" and heard.inner_text() == ""
    playwright.expect(heard).to_contain_text("The run has ended", timeout=15_000)
    assert page.locator("[data-progress]").count() == 1


def test_a_field_that_a_browser_fills_again_filters(server, open_page):
    page = open_page(server, "/runs/many")
    page.locator("input[name=q]").fill("attack_12")
    page.locator("#row-table tbody tr:visible a").first.click()
    page.wait_for_url("**/rows/**")
    page.go_back()
    page.wait_for_url("**/runs/many")
    shown = page.locator("#row-table tbody tr:visible").count()
    assert shown == (10 if page.locator("input[name=q]").input_value() else 500)
