"""Answers written anew from what the judge has released, piece by piece or whole.

Nothing of the model's response is passed on but texts with a verdict, the end of a choice (one of
five words) and whole numbers of tokens. Ids, names of models, times, log-probabilities and fields
that the protocol does not know are the guard's or are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hartley.guard.stream_judge import Release, ResponseJudge, Withhold

ENDS = ("stop", "length", "tool_calls", "content_filter", "function_call")
"""Ends of a choice that are passed on; any other becomes the first."""

MOST_CALLS = 128
"""Calls of tools in one choice, at most."""

_CHANNELS = {
    "reasoning_content": "reasoning",
    "reasoning": "reasoning",
    "content": "content",
    "refusal": "refusal",
}
_FIELDS = {"content": "content", "reasoning": "reasoning_content", "refusal": "refusal"}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_MOST_COUNT = 10**9
_DECODE = json.JSONDecoder().raw_decode  # half the time of `json.loads` for texts of this length


class BadAnswer(ValueError):
    """What came is not an answer of the protocol."""


class Unjudged:
    """Releases everything, where no secret is declared that an answer could be searched for."""

    @property
    def held(self) -> int:
        """Tokens that wait: none."""
        return 0

    def feed(
        self, delta: str, channel: str = "content", choice: int = 0
    ) -> list[Release | Withhold]:
        """Return the piece as it came."""
        return [Release(delta, channel, choice)] if delta else []

    def finish(self) -> list[Release | Withhold]:
        """Return nothing: nothing is held."""
        return []


Judging = ResponseJudge | Unjudged


@dataclass(slots=True)
class _Call:
    """One call of a tool while it is released."""

    name: str = ""
    headed: bool = False


@dataclass(slots=True)
class _Choice:
    """One choice while it comes.

    Attributes:
        began: whether its first event was written.
        reason: of its end, once that has come.
        calls: by number.
        texts: released, by channel.
    """

    began: bool = False
    reason: str = ""
    calls: dict[int, _Call] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)


class JudgedAnswer:
    """One answer: takes what the model sends, and gives what may leave.

    Attributes:
        withheld: why it ended, if the judge has ended it.
        ended: whether all of it was released, or it is withheld.
        most: tokens that waited for their verdict at a time, at most.
    """

    def __init__(
        self,
        judge: Judging,
        head: Mapping[str, Any],
        *,
        chat: bool,
        choices: int,
        number: str,
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
        self._joined: list[tuple[str, int, list[str]]] = []
        self.withheld: Withhold | None = None
        self.ended = False
        self.most = 0

    @property
    def released(self) -> list[str]:
        """The texts that were released, one for each channel of each choice."""
        return ["".join(parts) for choice in self._choices for parts in choice.texts.values()]

    def event(self, data: str, *, more: bool = False) -> bytes:
        """Take the data of one event; return the events that may leave.

        Args:
            data: of the event.
            more: others have come with it: texts of one channel are joined, and judged together
                with the last of them or by :meth:`judged`.

        Raises:
            BadAnswer: it is not an event of this protocol, or reports an error.
        """
        content = _content(data)
        rows = content.get("choices")
        if more and self._only_joined(rows):
            return b""
        # Nothing of an event is taken before all of it is read: it may not be one.
        parts = [
            self._part(row, place)
            for place, row in enumerate(rows if isinstance(rows, list) else ())
        ]
        leaving: list[dict[str, Any]] = []
        for index, texts, reason in parts:
            if self._takes(index):
                leaving += self._taken(index, texts)
                if reason is not None:
                    self._choices[index].reason = reason if reason in ENDS else ENDS[0]
        usage = counts(content.get("usage")) if not rows else None
        if not self.ended and all(choice.reason for choice in self._choices):
            leaving += self._end()
        elif usage or not more:
            leaving += self._verdict()
        text = self._written(leaving)
        if usage and not self.withheld:
            text += _data({**self._head, "choices": [], "usage": usage})
        return text

    def _only_joined(self, rows: Any) -> bool:
        """Take an event that brings one choice more text and nothing else; whether it was one.

        Nearly all events of an answer are: the way of the others takes four times as long.
        """
        if self.ended or type(rows) is not list or len(rows) != 1 or type(rows[0]) is not dict:
            return False
        row = rows[0]
        index, delta = row.get("index"), row.get("delta")
        if not self._chat or type(index) is not int or not 0 <= index < len(self._choices):
            return False
        choice = self._choices[index]
        if not choice.began or choice.reason or row.get("finish_reason") is not None:
            return False
        if type(delta) is not dict or len(delta) != 1 or type(delta.get("content")) is not str:
            return False
        self._join("content", index, delta["content"])
        return True

    def _join(self, channel: str, index: int, text: str) -> None:
        """Keep a text for the next verdict."""
        joined = self._joined
        if joined and joined[-1][1] == index and joined[-1][0] == channel:
            joined[-1][2].append(text)
        elif text:
            joined.append((channel, index, [text]))

    def judged(self) -> bytes:
        """Judge the texts that were joined; return the events that may leave."""
        return self._written(self._verdict())

    def rest(self) -> bytes:
        """End every choice that has not ended, with what the judge releases at its end."""
        return b"" if self.ended else self._written(self._end())

    def _part(self, row: Any, place: int) -> tuple[int, list[tuple[str, str]], Any]:
        """Return the number of a choice, its texts by channel, and why it ended.

        Raises:
            BadAnswer: it is not part of an answer.
        """
        index = _index(row, place)
        delta = row.get("delta") if self._chat else {"content": row.get("text")}
        texts = list(_texts(delta)) if isinstance(delta, dict) else []
        return index, texts, row.get("finish_reason")

    def _takes(self, index: int) -> bool:
        """Whether a choice was asked for, and more of it may come."""
        return index < len(self._choices) and not self.ended and not self._choices[index].reason

    def _taken(self, index: int, texts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Take what one choice brings; return the parts of events that may leave."""
        choice = self._choices[index]
        leaving = []
        if self._chat and not choice.began:
            choice.began = True
            leaving = self._verdict()
            leaving.append(self._row(index, {"role": "assistant", "content": ""}))
        for channel, text in texts:
            if not self.ended:
                self._join(channel, index, text)
        return leaving

    def _verdict(self) -> list[dict[str, Any]]:
        """Judge the texts that were joined; return the parts of events that may leave."""
        joined, self._joined = self._joined, []
        leaving = []
        for channel, index, parts in joined:
            if not self.ended:
                leaving += self._verdicts(self._judge.feed("".join(parts), channel, index))
                self.most = max(self.most, self._judge.held)
        return leaving

    def _end(self) -> list[dict[str, Any]]:
        """Judge what is held; return it and the end of every choice."""
        leaving = self._verdict()
        if not self.ended:
            leaving += self._verdicts(self._judge.finish())
        if self.ended:
            return leaving
        self.ended = True
        for index, choice in enumerate(self._choices):
            for number in sorted(choice.calls):
                leaving += self._headed(index, number)
            leaving.append(self._row(index, {}, choice.reason or ENDS[0]))
        return leaving

    def _verdicts(self, verdicts: Sequence[Release | Withhold]) -> list[dict[str, Any]]:
        """Return what verdicts release; after one against the answer, its end."""
        leaving: list[dict[str, Any]] = []
        for verdict in verdicts:
            if isinstance(verdict, Withhold):
                self.withheld, self.ended = verdict, True
                ends = range(len(self._choices))
                return [*leaving, *(self._row(index, {}, "content_filter") for index in ends)]
            leaving += self._release(verdict)
        return leaving

    def _release(self, verdict: Release) -> list[dict[str, Any]]:
        index, channel, text = verdict.choice, verdict.channel, verdict.text
        choice = self._choices[index]
        choice.texts.setdefault(channel, []).append(text)
        number, _, kind = channel.rpartition(".")
        if kind == "name":
            choice.calls.setdefault(int(number), _Call()).name += text
            return []
        if kind == "arguments":
            # What is released comes in order: the name is whole where its arguments begin.
            part = _call_part(int(number), {"function": {"arguments": text}})
            return [*self._headed(index, int(number)), self._row(index, part)]
        return [self._row(index, {_FIELDS[kind]: text})]

    def _headed(self, index: int, number: int) -> list[dict[str, Any]]:
        """Return the head of a call, once."""
        call = self._choices[index].calls.setdefault(number, _Call())
        if call.headed:
            return []
        call.headed = True
        function = {"name": call.name, "arguments": ""}
        identity = f"call_{self._number}_{index}_{number}"
        head = {"id": identity, "type": "function", "function": function}
        return [self._row(index, _call_part(number, head))]

    def _row(
        self, index: int, part: Mapping[str, Any], reason: str | None = None
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"index": index}
        if self._chat:
            row["delta"] = dict(part)
        else:
            row["text"] = part.get("content", "")
        return {**row, "logprobs": None, "finish_reason": reason}

    def _written(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        return b"".join(_data({**self._head, "choices": [row]}) for row in rows)

    def whole(self, payload: Any) -> dict[str, Any] | None:
        """Return a whole response written anew, or None where it may not leave.

        Args:
            payload: JSON of the model's response.

        Raises:
            BadAnswer: it is not a response of the protocol.
        """
        rows = payload.get("choices") if isinstance(payload, dict) else None
        if not isinstance(rows, list) or not rows:
            raise BadAnswer("there are no choices")
        for place, row in enumerate(rows):
            index = _index(row, place)
            message = row.get("message") if self._chat else {"content": row.get("text")}
            if not isinstance(message, dict):
                raise BadAnswer("a message is not a table")
            if self._takes(index):
                self._taken(index, list(_texts(message)))
                reason = row.get("finish_reason")
                self._choices[index].reason = reason if reason in ENDS else ENDS[0]
        if not self.ended:
            self._end()
        if self.withheld:
            return None
        results = [self._result(index) for index, row in enumerate(self._choices) if row.reason]
        usage = counts(payload.get("usage"))
        return {**self._head, "choices": results, **({"usage": usage} if usage else {})}

    def _result(self, index: int) -> dict[str, Any]:
        choice = self._choices[index]
        texts = {channel: "".join(parts) for channel, parts in choice.texts.items()}
        row: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": choice.reason}
        if not self._chat:
            return {**row, "text": texts.get("content", "")}
        message: dict[str, Any] = {"role": "assistant", "content": texts.get("content")}
        message["refusal"] = texts.get("refusal")
        if "reasoning" in texts:
            message["reasoning_content"] = texts["reasoning"]
        if choice.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{self._number}_{index}_{number}",
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": texts.get(f"{number}.arguments", ""),
                    },
                }
                for number, call in sorted(choice.calls.items())
            ]
        return {**row, "message": message}


def _content(data: str) -> dict[str, Any]:
    """Return the JSON of one event.

    Raises:
        BadAnswer: it is not part of an answer.
    """
    text = data.strip(" \t\n\r")
    try:
        content, end = _DECODE(text)
    except (ValueError, RecursionError):
        raise BadAnswer("an event is not JSON") from None
    if end != len(text):
        raise BadAnswer("an event is not JSON")
    if not isinstance(content, dict) or "error" in content:
        raise BadAnswer("an event is not part of an answer")
    return content


def _index(row: Any, place: int) -> int:
    """Return the number of a choice.

    Raises:
        BadAnswer: it is not a table with a number.
    """
    index = row.get("index", place) if isinstance(row, dict) else -1
    if type(index) is not int or index < 0:
        raise BadAnswer("a choice must be a table with a number")
    return index


def _texts(delta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the channels and texts of a delta or a message, in order.

    Raises:
        BadAnswer: a call has no valid number.
    """
    taken = set()
    for name, value in delta.items():
        channel = _CHANNELS.get(name, "")
        content = value
        if isinstance(value, list):
            parts = [part.get("text") for part in value if isinstance(part, dict)]
            content = "".join(part for part in parts if isinstance(part, str))
        # Some servers give the reasoning under both of its names.
        if channel and channel not in taken and isinstance(content, str) and content:
            taken.add(channel)
            yield channel, content
    calls = delta.get("tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        number = call.get("index", place) if isinstance(call, dict) else -1
        if type(number) is not int or not 0 <= number < MOST_CALLS:
            raise BadAnswer("the index of a call must be a small whole number")
        function = call.get("function")
        for name in ("name", "arguments"):
            text = function.get(name) if isinstance(function, dict) else None
            if isinstance(text, str) and text:
                yield f"{number}.{name}", text


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
