"""Events that come together give what they give one by one, whatever is in them."""

import json
import random

from hartley.core.seeds import spawn
from hartley.guard.streaming import BadAnswer, JudgedAnswer, Unjudged

HEAD = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DELTAS = [
    {"content": "a"},
    {"content": "b"},
    {"content": "c", "reasoning_content": "r"},
    {"content": ["d"]},
    {"content": [{"text": "e"}]},
    {"content": ""},
    {"content": None},
    {"content": 3},
    {"role": "assistant", "content": "f"},
    {"tool_calls": [{"index": 0, "function": {"name": "g", "arguments": "{}"}}]},
    {},
    None,
]
INDEXES = [0, 0, 0, 1, 2, None, "0", True, -1]
REASONS = [None, None, None, None, "stop", "length", 7]


def drawn_event(rng: random.Random) -> str:
    """An event of a server that keeps to the protocol more or less."""
    rows = [
        {"index": rng.choice(INDEXES), "delta": rng.choice(DELTAS)}
        | ({"finish_reason": rng.choice(REASONS)} if rng.random() < 0.5 else {})
        for _ in range(rng.choice([1, 1, 1, 1, 0, 2]))
    ]
    if rows and rng.random() < 0.5:
        del rows[0]["index"]
    elif rows and rng.random() < 0.8:
        rows[0]["index"] = 0
    text = json.dumps({**HEAD, "choices": rows} | ({"usage": {}} if rng.random() < 0.1 else {}))
    odd = rng.choice([f" {text} ", text + "{}", text + "]", ""])
    return odd if rng.random() < 0.1 else text


def leaving(events: list[str], *, chat: bool, together: bool) -> list[tuple[int, str, str]]:
    """The texts that leave, by choice and channel in order, and what ended it."""
    answer = JudgedAnswer(Unjudged(), HEAD, chat=chat, choices=2, number="1")
    written, end = b"", "whole"
    try:
        for event in events:
            written += answer.event(event, more=together)
        written += answer.judged() + answer.rest()
    except BadAnswer as error:
        end = str(error)
        written += answer.judged()
    out: list[list] = []
    for line in written.decode().split("\n\n")[:-1]:
        for row in json.loads(line.removeprefix("data: "))["choices"]:
            part = row.get("delta", {"content": row.get("text")})
            key = [row["index"], *part] if len(part) == 1 else [row["index"], json.dumps(part)]
            if out and out[-1][0] == key and row["finish_reason"] is None and len(part) == 1:
                out[-1][1] += str(*part.values())
            else:
                out.append([key, "".join(map(str, part.values())), row["finish_reason"]])
    return [*map(repr, out), end]


def test_events_together_give_what_they_give_one_by_one():
    rng = random.Random(spawn(0, "events together"))
    ends = set()
    for _ in range(3000):
        events = [drawn_event(rng) for _ in range(rng.randint(1, 8))]
        chat = rng.random() < 0.8
        together = leaving(events, chat=chat, together=True)
        assert together == leaving(events, chat=chat, together=False), events
        ends.add(together[-1])
    assert ends >= {"whole", "an event is not JSON", "a choice must be a table with a number"}
