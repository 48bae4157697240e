"""Answers written anew from what the judge has released, piece by piece or whole.

Nothing of the model's response is passed on but texts with a verdict, the end of a choice (one of
five words) and whole numbers of tokens. Ids, names of models, times, log-probabilities and fields
that the protocol does not know are the guard's or are left out.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hartley.guard.protocols import Release, Withhold

ENDS = ("stop", "length", "tool_calls", "content_filter", "function_call")
"""Ends of a choice that are passed on; any other becomes the first."""

MOST_CALLS = 128
"""Calls of tools in one choice, at most."""

_TEXTS = (("content", "content"), ("reasoning_content", "reasoning"), ("reasoning", "reasoning"))
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_MOST_COUNT = 10**9


class AnswerJudge(Protocol):
    """Judges all channels of one answer while they come."""

    def feed(self, channel: Hashable, delta: str) -> list[Release | Withhold]:
        """Take more of one channel; return what of it may leave, or that nothing more may."""
        ...

    def finish(self, channel: Hashable) -> list[Release | Withhold]:
        """A channel is over: return the rest of it, or that it may not leave."""
        ...

    @property
    def held(self) -> int:
        """Tokens that wait for their verdict, in the channel where they are most."""
        ...


class BadAnswer(ValueError):
    """What came is not an answer of the protocol."""


@dataclass(slots=True)
class _Call:
    """One call of a tool while it comes."""

    name: str = ""
    named: bool = False
    headed: bool = False


@dataclass(slots=True)
class _Choice:
    """One choice while it comes."""

    began: bool = False
    ended: bool = False
    calls: dict[int, _Call] = field(default_factory=dict)
    channels: list[Hashable] = field(default_factory=list)


class JudgedAnswer:
    """One answer: takes what the model sends, and gives what may leave.

    Attributes:
        withheld: why it ended, if it did.
        most: tokens that waited for their verdict at a time, at most.
        texts: what was released, by channel.
    """

    def __init__(
        self, judge: AnswerJudge, head: Mapping[str, Any], *, chat: bool, choices: int, number: str
    ) -> None:
        """Begin an answer.

        Args:
            judge: of this answer alone.
            head: ``id``, ``object``, ``created`` and ``model`` of each event.
            chat: whether it answers a chat; else a completion.
            choices: that were asked for; others are left out.
            number: of the answer, in the ids of calls.
        """
        self._judge, self._head, self._chat, self._number = judge, dict(head), chat, number
        self._choices = [_Choice() for _ in range(choices)]
        self.withheld: Withhold | None = None
        self.most = 0
        self.texts: dict[Hashable, list[str]] = {}

    @property
    def choices(self) -> int:
        """Choices that were asked for."""
        return len(self._choices)

    @property
    def ended(self) -> bool:
        """Whether every choice has ended."""
        return all(choice.ended for choice in self._choices)

    @property
    def released(self) -> list[str]:
        """The texts that were released, one for each channel."""
        return ["".join(parts) for parts in self.texts.values()]

    def event(self, data: str) -> bytes:
        """Take the data of one event; return the events that may leave.

        Raises:
            BadAnswer: it is not an event of this protocol, or reports an error.
        """
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            raise BadAnswer("an event is not JSON") from None
        if not isinstance(content, dict) or "error" in content:
            raise BadAnswer("an event is not part of an answer")
        rows = content.get("choices")
        leaving = []
        for place, row in enumerate(rows if isinstance(rows, list) else ()):
            leaving += self._row(place, row)
            if self.withheld:
                return self.stopped(leaving)
        usage = counts(content.get("usage"))
        text = self._event(leaving) if leaving else b""
        if usage and not rows:
            text += _data({**self._head, "choices": [], "usage": usage})
        return text

    def stopped(self, leaving: list[dict[str, Any]] | None = None) -> bytes:
        """End every choice that has not ended, since nothing more may leave."""
        rows = list(leaving or ())
        for index, choice in enumerate(self._choices):
            if not choice.ended:
                choice.ended = True
                rows.append(self._leaving(index, {}, "content_filter"))
        return self._event(rows) if rows else b""

    def rest(self) -> bytes:
        """End every choice that has not ended, with what the judge releases at its end."""
        leaving: list[dict[str, Any]] = []
        for index, choice in enumerate(self._choices):
            if not choice.ended and not self.withheld:
                leaving += self._row(index, {"index": index, "finish_reason": ENDS[0]})
        return self.stopped(leaving) if self.withheld else self._event(leaving)

    def _row(self, place: int, row: Any) -> list[dict[str, Any]]:
        """Take one choice of an event; return those that may leave."""
        if not isinstance(row, dict):
            raise BadAnswer("a choice is not a table")
        index = row.get("index", place)
        if type(index) is not int or not 0 <= index < len(self._choices):
            return []
        choice = self._choices[index]
        if choice.ended:
            return []
        delta = row.get("delta") if self._chat else {"content": row.get("text")}
        leaving = [
            self._leaving(index, part)
            for part in self._parts(index, choice, delta if isinstance(delta, dict) else {})
        ]
        reason = row.get("finish_reason")
        if reason is not None and not self.withheld:
            leaving += [self._leaving(index, part) for part in self._rest(index, choice)]
            if not self.withheld:
                choice.ended = True
                leaving.append(self._leaving(index, {}, reason if reason in ENDS else ENDS[0]))
        return leaving

    def _parts(
        self, index: int, choice: _Choice, delta: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the released parts of one delta."""
        if not choice.began and self._chat:
            choice.began = True
            yield {"role": "assistant", "content": ""}
        for name, kind in (*_TEXTS, ("refusal", "refusal")):
            text = delta.get(name)
            if isinstance(text, str) and text and not self.withheld:
                released = self._feed(choice, (index, kind), text)
                if released:
                    yield {_FIELDS[kind]: released}
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict) and not self.withheld:
                yield from self._call(index, choice, place, call)

    def _call(
        self, index: int, choice: _Choice, place: int, call: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        number = call.get("index", place)
        function = call.get("function")
        if type(number) is not int or not 0 <= number < MOST_CALLS:
            raise BadAnswer("the index of a call is not a small whole number")
        if not isinstance(function, dict):
            return
        state = choice.calls.setdefault(number, _Call())
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and name and not state.named:
            state.name += self._feed(choice, (index, "name", number), name)
        if isinstance(arguments, str) and arguments and not self.withheld:
            yield from self._headed(index, number, state)
            if not self.withheld:
                released = self._feed(choice, (index, "arguments", number), arguments)
                if released:
                    yield _call_part(number, {"function": {"arguments": released}})

    def _headed(self, index: int, number: int, state: _Call) -> Iterator[dict[str, Any]]:
        """Yield the head of a call, once, when its name has its verdict."""
        if not state.named:
            state.named = True
            state.name += self._take((index, "name", number), self._judge_end(index, number))
        if not state.headed and not self.withheld:
            state.headed = True
            function = {"name": state.name, "arguments": ""}
            identity = f"call_{self._number}_{index}_{number}"
            yield _call_part(number, {"id": identity, "type": "function", "function": function})

    def _judge_end(self, index: int, number: int) -> list[Release | Withhold]:
        channel = (index, "name", number)
        return self._judge.finish(channel) if channel in self.texts else []

    def _rest(self, index: int, choice: _Choice) -> Iterator[dict[str, Any]]:
        """Yield what the judge releases at the end of a choice."""
        for number, state in sorted(choice.calls.items()):
            yield from self._headed(index, number, state)
        for channel in choice.channels:
            kind: Any = channel
            if kind[1] == "name" or self.withheld:
                continue
            released = self._take(channel, self._judge.finish(channel))
            if released and kind[1] == "arguments":
                yield _call_part(kind[2], {"function": {"arguments": released}})
            elif released:
                yield {_FIELDS[kind[1]]: released}

    def _feed(self, choice: _Choice, channel: Hashable, text: str) -> str:
        if channel not in self.texts:
            self.texts[channel] = []
            choice.channels.append(channel)
        released = self._take(channel, self._judge.feed(channel, text))
        self.most = max(self.most, self._judge.held)
        return released

    def _take(self, channel: Hashable, verdicts: list[Release | Withhold]) -> str:
        """Return the released text of a channel, up to the first part that may not leave."""
        texts = []
        for verdict in verdicts:
            if isinstance(verdict, Withhold):
                self.withheld = verdict
                break
            texts.append(verdict.text)
        released = "".join(texts)
        if released:
            self.texts.setdefault(channel, []).append(released)
        return released

    def _leaving(
        self, index: int, part: Mapping[str, Any], reason: str | None = None
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"index": index}
        if self._chat:
            row["delta"] = dict(part)
        else:
            row["text"] = part.get("content", "")
        return {**row, "logprobs": None, "finish_reason": reason}

    def _event(self, rows: list[dict[str, Any]]) -> bytes:
        return b"".join(_data({**self._head, "choices": [row]}) for row in rows)

    def whole(self, payload: Any) -> dict[str, Any] | None:
        """Return a whole response written anew, or None where it may not leave.

        Args:
            payload: JSON of the model's response.

        Raises:
            BadAnswer: it is not a response of the protocol.
        """
        rows = payload.get("choices") if isinstance(payload, dict) else None
        if not isinstance(rows, list):
            raise BadAnswer("there are no choices")
        results = []
        for place, row in enumerate(rows[: len(self._choices)]):
            if not isinstance(row, dict):
                raise BadAnswer("a choice is not a table")
            message = row.get("message") if self._chat else {"content": row.get("text")}
            if not isinstance(message, dict):
                raise BadAnswer("a message is not a table")
            choice = self._choices[place]
            for _ in self._parts(place, choice, message):
                pass
            if not self.withheld:
                for _ in self._rest(place, choice):
                    pass
            if self.withheld:
                return None
            choice.ended = True
            reason = row.get("finish_reason")
            results.append(self._result(place, choice, reason if reason in ENDS else ENDS[0]))
        usage = counts(payload.get("usage"))
        return {**self._head, "choices": results, **({"usage": usage} if usage else {})}

    def _result(self, index: int, choice: _Choice, reason: str) -> dict[str, Any]:
        texts = {key: "".join(parts) for key, parts in self.texts.items()}
        row: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": reason}
        if not self._chat:
            return {**row, "text": texts.get((index, "content"), "")}
        message: dict[str, Any] = {
            "role": "assistant",
            "content": texts.get((index, "content")),
            "refusal": texts.get((index, "refusal")),
        }
        if (index, "reasoning") in texts:
            message["reasoning_content"] = texts[index, "reasoning"]
        if choice.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{self._number}_{index}_{number}",
                    "type": "function",
                    "function": {
                        "name": state.name,
                        "arguments": texts.get((index, "arguments", number), ""),
                    },
                }
                for number, state in sorted(choice.calls.items())
            ]
        return {**row, "message": message}


_FIELDS = {"content": "content", "reasoning": "reasoning_content", "refusal": "refusal"}


def _call_part(number: int, call: Mapping[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [{"index": number, **call}]}


def counts(usage: Any) -> dict[str, int]:
    """Return the whole numbers of tokens in a report of usage; empty where it has none."""
    if not isinstance(usage, dict):
        return {}
    return {
        name: usage[name]
        for name in _COUNTS
        if type(usage.get(name)) is int and 0 <= usage[name] <= _MOST_COUNT
    }


def _data(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"
