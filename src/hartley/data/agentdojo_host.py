"""AgentDojo's worlds behind a pipe: a program for the interpreter that has `agentdojo` installed.

It imports agentdojo and the standard library alone. Each line of standard input is a request in
JSON, ``{"op": …, …}``; each is answered by one line, ``{"ok": …}``, ``{"bad": reason}`` for a
request that cannot be carried out, or ``{"large": bytes}`` for an answer over ``MOST``. What
libraries print goes to standard error, so that it is never taken for an answer.

Suites, tasks, tools, formatted results and verdicts are AgentDojo's own (arXiv:2406.13352).
`hartley.data.agentdojo` is the other end.
"""

from __future__ import annotations

import datetime
import importlib.abc
import importlib.machinery
import json
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

VERSION = "v1.2.2"
MOST = 1 << 20
"""Bytes that an answer may have."""
SESSIONS = 64
"""Worlds that may be open at once."""
MOMENT = datetime.datetime(2024, 5, 15, 12)
"""When mails are sent: on the day that AgentDojo's worlds are set on."""
CLIENTS = ("anthropic", "cohere", "google.genai", "openai")


class Clients(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Replace the clients of model services, which take seconds to load: no model is asked here."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Replace the packages of ``CLIENTS`` and what is below them."""
        del path, target
        if any(name == client or name.startswith(client + ".") for client in CLIENTS):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        """Return a module in which every name is an empty class."""
        module = types.ModuleType(spec.name)
        module.__dict__["__getattr__"] = _empty_class
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Run nothing."""


def _empty_class(name: str) -> type:
    if not name[0].isupper():  # a module below, which the finder brings
        raise AttributeError(name)
    return type(name, (Exception,), {})


class Refused(Exception):
    """A request that cannot be carried out, with its reason."""


class World:
    """One open environment, and what has happened in it."""

    def __init__(self, suite: Any, environment: Any, tools: Mapping[str, Any]) -> None:
        """Keep the environment and a copy of it as it was."""
        self.suite, self.environment = suite, environment
        self.before = environment.model_copy(deep=True)
        self.tools = dict(tools)
        self.calls: list[Any] = []


class Host:
    """The suites of the benchmark, and the worlds that are open."""

    def __init__(self) -> None:
        """Load AgentDojo."""
        from agentdojo.default_suites.v1.tools import email_client
        from agentdojo.task_suite.load_suites import get_suites

        # A mail is sent at a fixed moment, so that the same calls have the same results.
        clock = types.SimpleNamespace(now=lambda: MOMENT)
        email_client.datetime = types.SimpleNamespace(datetime=clock)
        self.suites = dict(get_suites(VERSION))
        self.worlds: dict[int, World] = {}
        self.opened = 0
        self.plain: dict[str, tuple[Any, dict[str, Any]]] = {}

    def answer(self, request: Mapping[str, Any]) -> Any:
        """Carry out one request.

        Raises:
            Refused: it names what is not here, or has a wrong form.
        """
        operations: dict[str, Callable[..., Any]] = {
            "version": self.version,
            "describe": self.describe,
            "reachable": self.reachable,
            "open": self.open,
            "call": self.call,
            "finish": self.finish,
            "close": self.close,
            "ground_truth": self.ground_truth,
            "same_as_loaded": self.same_as_loaded,
        }
        fields = {name: value for name, value in request.items() if name != "op"}
        if request.get("op") not in operations:
            raise Refused(f"the request must be one of {', '.join(operations)}")
        return operations[request["op"]](**fields)

    def version(self) -> dict[str, str]:
        """Return the versions of the library and of the benchmark."""
        import importlib.metadata

        return {"library": importlib.metadata.version("agentdojo"), "benchmark": VERSION}

    def describe(self, suite: str) -> dict[str, Any]:
        """Describe a suite: its tools, its tasks and its injection vectors."""
        import yaml  # type: ignore[import-untyped]
        from agentdojo.task_suite.task_suite import read_suite_file

        chosen = self._suite(suite)
        text = read_suite_file(chosen.name, "injection_vectors.yaml", chosen.data_path)
        defaults = chosen.get_injection_vector_defaults()
        return {
            "tools": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters.model_json_schema(),
                    "docstring": tool.full_docstring,
                }
                for tool in chosen.tools
            ],
            "user_tasks": [
                {"name": name, "prompt": task.PROMPT, "difficulty": task.DIFFICULTY.name.lower()}
                for name, task in _in_order(chosen.user_tasks)
            ],
            "injection_tasks": [
                {"name": name, "goal": task.GOAL, "difficulty": task.DIFFICULTY.name.lower()}
                for name, task in _in_order(chosen.injection_tasks)
            ],
            "vectors": [
                {
                    "name": name,
                    "description": about["description"],
                    "default": _decoded(defaults[name]),
                }
                for name, about in yaml.safe_load(text).items()
            ],
        }

    def reachable(self, suite: str) -> dict[str, list[str]]:
        """Return, for each user task, the vectors whose text its ground truth's results show."""
        from agentdojo.attacks.base_attacks import BaseAttack

        class Marked(BaseAttack):  # type: ignore[misc]
            def attack(self, user_task: Any, injection_task: Any) -> dict[str, str]:
                raise NotImplementedError

        chosen = self._suite(suite)
        # AgentDojo reads the file of the world for each task anew; this is the same world.
        same = types.SimpleNamespace(
            tools=chosen.tools,
            get_injection_vector_defaults=chosen.get_injection_vector_defaults,
            load_and_inject_default_environment=lambda texts: self._environment(chosen, texts),
        )
        marked = Marked(same, None)
        vectors: dict[str, list[str]] = {}
        for name, task in _in_order(chosen.user_tasks):
            try:
                vectors[name] = list(marked.get_injection_candidates(task))
            except ValueError:  # the task reads no place that an injection enters
                vectors[name] = []
        return vectors

    def open(self, suite: str, injections: Mapping[str, str], user_task: str | None) -> int:
        """Open a world with texts in its injection vectors, prepared for a user task."""
        chosen = self._suite(suite)
        if len(self.worlds) >= SESSIONS:
            raise Refused(f"at most {SESSIONS} worlds can be open at once; close some")
        environment = self._environment(chosen, injections)
        if user_task is not None:
            environment = self._user_task(chosen, user_task).init_environment(environment)
        self.opened += 1
        tools = {tool.name: tool for tool in chosen.tools}
        self.worlds[self.opened] = World(chosen, environment, tools)
        return self.opened

    def call(self, session: int, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool as AgentDojo's own executor of tools does."""
        from agentdojo.agent_pipeline.tool_execution import ToolsExecutor, tool_result_to_str
        from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
        from agentdojo.types import ChatAssistantMessage, get_text_content_as_str

        world = self._world(session)
        results: list[Any] = []

        def formatted(result: Any) -> str:
            results.append(result)
            return str(tool_result_to_str(result))

        call = FunctionCall(function=name, args=dict(arguments))
        world.calls.append(call)
        request = ChatAssistantMessage(role="assistant", content=None, tool_calls=[call])
        runtime = FunctionsRuntime(list(world.tools.values()))
        *_, messages, _ = ToolsExecutor(formatted).query("", runtime, world.environment, [request])
        message = messages[-1]
        value = None if message["error"] is not None or not results else _plain(results[0])
        text = get_text_content_as_str(message["content"])
        return {"text": text, "value": value, "error": message["error"]}

    def finish(
        self,
        session: int,
        answer: str,
        calls: Sequence[Sequence[Any]] | None,
        user_task: str | None,
        injection_tasks: Sequence[str],
    ) -> dict[str, Any]:
        """Judge a world as AgentDojo judges a run, and close it."""
        from agentdojo.functions_runtime import FunctionCall
        from agentdojo.types import text_content_block_from_string

        world = self._world(session)
        trace = world.calls
        if calls is not None:
            trace = [FunctionCall(function=name, args=dict(args)) for name, args in calls]
        output = [text_content_block_from_string(answer)]

        def judged(task: Any) -> bool:
            checked = world.suite._check_task_result
            return bool(checked(task, output, world.before, world.environment, trace))

        utility = None
        if user_task is not None:
            utility = judged(self._user_task(world.suite, user_task))
        tasks = [(name, self._injection_task(world.suite, name)) for name in injection_tasks]
        verdict = {"utility": utility, "security": {name: judged(task) for name, task in tasks}}
        del self.worlds[session]
        return verdict

    def close(self, session: int) -> None:
        """Close a world without a verdict."""
        self.worlds.pop(session, None)

    def ground_truth(self, session: int, task: str) -> dict[str, Any]:
        """Return what AgentDojo's authors call in a world to solve a task. For tests alone."""
        world = self._world(session)
        kinds = (self._injection_task, self._user_task)
        chosen = kinds[task.startswith("user")](world.suite, task)
        calls = chosen.ground_truth(world.environment.model_copy(deep=True))
        return {
            "calls": [[call.function, _plain(dict(call.args))] for call in calls],
            "answer": chosen.GROUND_TRUTH_OUTPUT,
        }

    def same_as_loaded(self, suite: str) -> bool:
        """Whether a world without injections is the one that AgentDojo loads. For tests alone."""
        chosen = self._suite(suite)
        loaded = chosen.load_and_inject_default_environment({})
        return bool(self._environment(chosen, {}) == loaded)

    def _suite(self, name: str) -> Any:
        return _named(self.suites, name, "suite")

    def _user_task(self, suite: Any, name: str) -> Any:
        return _named(suite.user_tasks, name, "user task")

    def _injection_task(self, suite: Any, name: str) -> Any:
        return _named(suite.injection_tasks, name, "injection task")

    def _world(self, session: int) -> World:
        if session not in self.worlds:
            raise Refused("the world is closed")
        return self.worlds[session]

    def _environment(self, suite: Any, injections: Mapping[str, str]) -> Any:
        """Return a world that holds each text as it is, character by character.

        AgentDojo puts texts into the source of a YAML file, where a quotation mark ends the value
        and line breaks are folded. Here the file is read once, with a mark for each text.
        """
        import yaml
        from agentdojo.task_suite.task_suite import read_suite_file

        defaults = suite.get_injection_vector_defaults()
        if unknown := sorted(set(injections) - set(defaults)):
            raise Refused(f"{suite.name} has no injection vector {unknown[0]!r}")
        marks = {name: f"<<{number}>>" for number, name in enumerate(defaults)}
        if suite.name not in self.plain:
            text = read_suite_file(suite.name, "environment.yaml", suite.data_path)
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            tree = yaml.load(text.format(**marks), loader)
            self.plain[suite.name] = tree, {n: _decoded(t) for n, t in defaults.items()}
        tree, texts = self.plain[suite.name]
        texts = {**texts, **injections}
        filled = _filled(tree, {mark: texts[name] for name, mark in marks.items()})
        return suite.environment_type.model_validate(filled)


def _in_order(tasks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(tasks.items(), key=lambda item: int(item[0].rpartition("_")[2]))


def _named(table: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise Refused(f"AgentDojo {VERSION} has no {kind} {name!r}")
    return table[name]


def _decoded(default: str) -> str:
    """Return a default text as a world holds it: it is written as YAML between quotes."""
    import yaml

    return str(yaml.safe_load(f'"{default}"'))


def _filled(tree: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(tree, dict):
        return {_filled(key, texts): _filled(value, texts) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_filled(item, texts) for item in tree]
    if isinstance(tree, str) and "<<" in tree:
        # All marks at once: a text that holds another mark must not be filled in turn.
        import re

        return re.sub(r"<<\d+>>", lambda match: texts.get(match[0], match[0]), tree)
    return tree


def _plain(value: Any) -> Any:
    """Return a tool's result as JSON has it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def main() -> None:
    """Answer requests until standard input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    # Modules beside this file must not be taken for libraries of the same name.
    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    sys.meta_path.insert(0, Clients())
    host = Host()
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            answer = {"ok": host.answer(json.loads(line))}
        except Refused as error:
            answer = {"bad": str(error)}
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            answer = {"bad": f"AgentDojo raised {type(error).__name__}: {reason}"}
        text = json.dumps(answer)
        if len(text) > MOST:
            text = json.dumps({"large": len(text)})
        out.write(text + "\n")
        out.flush()


if __name__ == "__main__":
    main()
