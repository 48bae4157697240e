"""Steps that programs of agents share: choosing rows, reading addresses, several tasks in one.

A choice reads no more of what third parties write than it takes: `settled` asks about structured
fields first, and about free text only where these leave more than one row. What was read is on the
row that is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hartley.kit.agents.agent import Policy
from hartley.kit.agents.run import Program, Refused, ToolError
from hartley.kit.agents.values import Value, derived, marked, reading

if TYPE_CHECKING:
    from hartley.kit.agents.run import Run

EMAIL = r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}"
"""An address of mail."""
LINK = (
    r"(?:https?://[^\s'\"<>()\[\]]*[\w/]"
    r"|(?<![@\w.-])(?:[\w-]+\.)+?(?:com|org|net|edu|gov|info|io|co|ai|app|dev|ch|de|uk|example|test)"
    r"\b(?:/[\w./?=&%#~+-]*[\w/])?)"
)
"""A link, with or without the protocol; the sentence's own full stop is not part of it."""

START = r"(?<![^\W_])"
"""The start of a word; unlike for ``\\b``, an underscore may come before it."""

_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_ITEMS = re.compile(r"(?:^|\s)\d+\. ")
_SEVERAL = re.compile(r"perform the following tasks", re.IGNORECASE)


def settled(rows: Sequence[Any], *tests: Callable[[Any], Any]) -> Any:
    """Return the row that the tests lead to; a test is only asked while several rows are left.

    A test that no row passes is passed over. Of several rows that are left at the end, the first
    one counts.

    Raises:
        LookupError: there are no rows.
    """
    left = list(rows)
    for test in tests:
        if len(left) < 2:
            break
        with reading() as reads:
            passed = [row for row in left if test(row)]
        left = [marked(row, frozenset(reads)) for row in passed or left]
    if not left:
        raise LookupError("there is nothing to choose from")
    return left[0]


def ranked(rows: Sequence[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Return rows by rising key, each marked with what the keys read."""
    with reading() as reads:
        ordered = sorted(rows, key=key)
    return [marked(row, frozenset(reads)) for row in ordered]


def summary(text: Value, sentences: int = 2) -> Value:
    """Return the first sentences of a text: what a scripted agent takes for a summary."""
    return derived(lambda whole: " ".join(_SENTENCES.split(whole.strip())[:sentences]), text)


def sentence_about(text: Value, pattern: str) -> Value:
    """Return the first sentence in which a pattern is, case ignored.

    Raises:
        ValueError: it is in none.
    """

    def first(whole: str) -> str:
        for sentence in _SENTENCES.split(whole):
            if re.search(pattern, sentence, re.IGNORECASE):
                return sentence.strip()
        raise ValueError(f"{pattern!r} is nowhere in {whole[:60]!r}")

    return derived(first, text)


def as_asked(do: Callable[[Run], None]) -> Callable[[Run, Mapping[str, Value]], None]:
    """Make a program carry out an instruction: its words, in the group ``task``, are the prompt."""

    def carry_out(run: Run, arguments: Mapping[str, Value]) -> None:
        before = run.prompt
        run.prompt = arguments["task"]
        try:
            do(run)
        finally:
            run.prompt = before

    return carry_out


@dataclass(frozen=True, slots=True)
class ListPolicy(Policy):
    """A policy that also does prompts with several numbered tasks, one after the other."""

    def program_for(self, prompt: str) -> Program:
        """Return what to do for a prompt, or for each of its numbered tasks.

        Raises:
            RunError: the policy knows no such prompt.
        """
        if not _SEVERAL.search(prompt):
            return Policy.program_for(self, prompt)
        parts = [part.strip() for part in _ITEMS.split(prompt)[1:]]
        programs = [Policy.program_for(self, part) for part in parts]
        uses = dict.fromkeys(name for program in programs for name in program.uses)

        def do(run: Run) -> None:
            before = run.prompt
            for part, program in zip(parts, programs, strict=True):
                run.prompt = replace(before, raw=part)
                try:
                    program.do(run)
                except (Refused, ToolError, ValueError, LookupError) as error:
                    # One task that cannot be done does not keep the agent from the next.
                    run.answer(f"I could not finish this: {error}")
            run.prompt = before

        return Program("", do, tuple(uses))
