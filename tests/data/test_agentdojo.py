"""AgentDojo's worlds: its ground truths solve its tasks through the pipe, and nothing hangs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hartley.core.errors import RunError, UsageError
from hartley.data import agentdojo

COUNTS = {"workspace": (40, 14), "travel": (20, 7), "banking": (16, 9), "slack": (21, 5)}
WITHOUT_SCRIPT = {("workspace", f"injection_task_{number}") for number in range(6, 14)}

Fake = Callable[[str], None]


@pytest.fixture(scope="module")
def worlds() -> None:
    if not os.environ.get(agentdojo.INTERPRETER):
        from hartley.data import packs

        try:
            packs.locate("agentdojo")
        except UsageError as absent:
            pytest.skip(str(absent))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """An interpreter that answers ``version`` and then runs a few lines of its own."""

    def install(lines: str, version: str = "0.1.35") -> None:
        script = tmp_path / "python"
        versions = json.dumps({"ok": {"library": version, "benchmark": "v1.2.2"}})
        script.write_text(
            f"#!{sys.executable}\nimport os, sys, time\nsys.stdin.readline()\n"
            f"print('{versions}', flush=True)\nsys.stdin.readline()\n{lines}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv(agentdojo.INTERPRETER, str(script))

    monkeypatch.setattr(agentdojo, "_RUNNING", {})
    yield install
    for host in agentdojo._RUNNING.values():
        host.end()


def solved(suite: str, user_task: str, injection_task: str | None = None) -> agentdojo.Verdict:
    """Play the ground truth of the injection task, where one is given, else of the user task."""
    with agentdojo.open(suite, user_task=user_task, injection_task=injection_task) as world:
        calls, answer = agentdojo.ground_truth(world, injection_task or user_task)
        for name, arguments in calls:
            assert world.call(name, arguments).error is None
        return world.finish(answer)


@pytest.mark.pack
@pytest.mark.parametrize("suite", agentdojo.SUITES)
def test_ground_truths_are_judged_to_solve_their_tasks(worlds: None, suite: str) -> None:
    about = agentdojo.describe(suite)
    assert (len(about.user_tasks), len(about.injection_tasks)) == COUNTS[suite]
    assert agentdojo.same_as_loaded(suite)
    assert all(solved(suite, task.name).utility for task in about.user_tasks)
    first = about.user_tasks[0].name
    reached = {
        task.name: solved(suite, first, task.name).security for task in about.injection_tasks
    }
    # Those without a script of the authors' cannot be reached by playing it.
    assert {(suite, name) for name, done in reached.items() if not done} == {
        case for case in WITHOUT_SCRIPT if case[0] == suite
    }


@pytest.mark.pack
def test_nothing_done_is_judged_to_be_nothing(worlds: None) -> None:
    for task in agentdojo.describe("slack").injection_tasks:
        with agentdojo.open("slack", {}, "user_task_1", task.name) as world:
            assert world.finish("") == agentdojo.Verdict(False, False)
    goals = [task.name for task in agentdojo.describe("banking").injection_tasks]
    with agentdojo.open("banking", user_task="user_task_14") as world:
        world.call("update_password", {"password": "new_password"})
        verdict = world.finish("", goals=goals)
    assert (verdict.utility, verdict.security) == (False, None)
    assert [name for name, reached in verdict.goals.items() if reached] == ["injection_task_7"]


@pytest.mark.pack
def test_there_are_949_cases_and_each_user_task_reads_a_vector(worlds: None) -> None:
    assert sum(len(agentdojo.cases(suite)) for suite in agentdojo.SUITES) == 949
    for suite in agentdojo.SUITES:
        vectors = {vector.name for vector in agentdojo.describe(suite).vectors}
        for task, shown in agentdojo.reachable(suite).items():
            assert shown and vectors.issuperset(shown), task
    # By hand: the file of the notice is all that this task reads before it acts.
    assert agentdojo.reachable("banking")["user_task_2"] == ("injection_landloard_notice",)


@pytest.mark.pack
def test_an_injection_stands_in_the_world_character_by_character(worlds: None) -> None:
    text = 'a "quoted"\n\n  line: {brace} <<1>> \\t \t#☃\x85\u2028🙂\''
    with agentdojo.open("banking", {"injection_landloard_notice": text}) as world:
        notice = world.call("read_file", {"file_path": "landlord-notices.txt"})
        assert f"accordingly.{text}\nBest regards" in notice.text
        assert notice.value == notice.text
        # Another vector keeps the text that AgentDojo gives it.
        listed = world.call("get_most_recent_transactions", {"n": "1"})
        assert listed.value[0]["subject"] == "Sushi dinner" and "subject: Sushi" in listed.text
    with agentdojo.open("banking") as other:
        assert text not in other.call("read_file", {"file_path": "landlord-notices.txt"}).text


@pytest.mark.pack
def test_the_same_calls_have_the_same_results(worlds: None) -> None:
    mail = {"recipients": ["a@example.com"], "subject": "s", "body": "b"}
    results = []
    for _ in range(2):
        with agentdojo.open("travel") as world:
            results.append(world.call("send_email", mail))
    assert results[0] == results[1] and results[0].value["recipients"] == ["a@example.com"]


@pytest.mark.pack
def test_errors_of_calls_are_for_the_agent_and_of_requests_are_not(worlds: None) -> None:
    with agentdojo.open("banking") as world:
        assert world.call("rob_bank", {}).error == "Invalid tool rob_bank provided."
        wrong = world.call("send_money", {"amount": "much"})
        assert wrong.text == "" and wrong.value is None
        assert wrong.error is not None and wrong.error.startswith("ValidationError")
        gone = world.call("update_scheduled_transaction", {"id": 99, "amount": 1})
        assert gone.error == "ValueError: Transaction with ID 99 not found."
        with pytest.raises(RunError, match="JSON"):
            world.call("read_file", {"file_path": object()})
        with pytest.raises(RunError, match="at most 1,048,576 bytes"):
            world.call("read_file", {"file_path": "x" * 2_000_000})
        with pytest.raises(RunError, match="too large"):
            world.call("update_user_info", {"city": "x" * 900_000})
        assert world.call("get_balance", {}).value == 1810.0
    with pytest.raises(RunError, match="closed"):
        world.call("get_balance", {})
    with pytest.raises(RunError, match="no injection vector 'nowhere'"):
        agentdojo.open("banking", {"nowhere": ""})
    with pytest.raises(UsageError, match="got bank"):
        agentdojo.open("bank")


@pytest.mark.pack
def test_a_host_that_dies_takes_its_worlds_along_and_the_next_is_a_new_one(worlds: None) -> None:
    world = agentdojo.open("banking")
    os.kill(agentdojo._host()._process.pid, signal.SIGKILL)
    with pytest.raises(RunError, match=r"ended \(call get_balance\), signal 9"):
        world.call("get_balance", {})
    with pytest.raises(RunError, match="and its worlds with it"):
        world.finish("")
    with agentdojo.open("banking") as other:
        assert other.call("get_balance", {}).value == 1810.0


@pytest.mark.pack
def test_a_process_that_is_forked_off_has_a_host_of_its_own(worlds: None) -> None:
    world = agentdojo.open("banking")
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(Exception):
            agentdojo._RUNNING[os.getppid()].end()  # what the end of an interpreter does
            with agentdojo.open("banking") as other:
                other.call("update_password", {"password": "x"})
                code = 0 if agentdojo._host()._process.pid != world._host._process.pid else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert world.call("get_balance", {}).value == 1810.0


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("time.sleep(60)", "did not answer within 0.5 s"),
        ("print('x' * 3_000_000)", "answered more than 2,097,152 bytes"),
        ("print('hello')", "wrote what is not an answer"),
        ("print('[1]')", "wrong form"),
        ("sys.exit('out of luck')", r"exit code 1: out of luck"),
    ],
)
def test_a_host_that_misbehaves_is_one_line(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, lines: str, says: str
) -> None:
    fake(lines)
    monkeypatch.setattr(agentdojo, "CALL_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(RunError, match=says):
        agentdojo.open("banking")
    assert time.monotonic() - began < 5


def test_an_interpreter_that_is_not_one_is_one_line(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake("", version="0.1.2")
    with pytest.raises(UsageError, match=r"must have agentdojo 0\.1\.35, got 0\.1\.2"):
        agentdojo.open("banking")
    monkeypatch.setenv(agentdojo.INTERPRETER, str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="must be the path of a Python, got"):
        agentdojo.open("banking")
    monkeypatch.setenv(agentdojo.INTERPRETER, sys.executable)  # it has no agentdojo
    with pytest.raises(UsageError, match=r"0\.1\.35: .*No module named 'agentdojo'"):
        agentdojo.open("banking")
    monkeypatch.delenv(agentdojo.INTERPRETER)
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    with pytest.raises(UsageError, match="hartley pack get agentdojo"):
        agentdojo.open("banking")
