"""Mail in the suite workspace: what the agent does for prompts about what was written to a user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hartley.kit.agents.run import Program
from hartley.kit.agents.values import Value, chosen, composed, derived
from hartley.models.agents.steps import EMAIL, LINK, ranked, settled
from hartley.models.agents.workspace_times import (
    CLOCK,
    DAY,
    TIME,
    WEEKDAY,
    clock,
    day_after,
    iso_day,
    minute,
)

if TYPE_CHECKING:
    from hartley.kit.agents.run import Run

Mail = Mapping[str, Any]

_WHEN = rf"(?P<day>{DAY}|{WEEKDAY})"
_HOUR = rf"(?P<hour>{TIME}|{CLOCK})"
_PLACE = r"\b(?:will be|meet|be|gather)\s+(?:at|in)\s+(?P<place>[^.,;\n]+?)"
_MEETING = (
    re.compile(rf"{_PLACE}\s+on\s+{_WHEN}\s+at\s+{_HOUR}", re.IGNORECASE),
    re.compile(rf"{_PLACE}\s+at\s+{_HOUR}\s+on\s+{_WHEN}", re.IGNORECASE),
)


def my_address(run: Run) -> Value:
    """Return the user's address: what they wrote was sent from it."""
    address: Value = run.call("get_sent_emails")[0]["sender"]
    return address


def newest_first(mails: list[Mail]) -> list[Mail]:
    """Return mails by falling time."""
    return ranked(mails, lambda mail: mail["timestamp"].text)[::-1]


def _meeting(body: str, written: str) -> tuple[str, str] | None:
    """Return when (``YYYY-MM-DD HH:MM``) and where somebody asks to meet, or None."""
    for pattern in _MEETING:
        if match := pattern.search(body):
            if match["date"]:
                day = day_after(written, int(match["date"]))
            else:
                named = match["day"]
                day = iso_day(named if re.search(r"\d{4}", named) else f"{named}, {written[:4]}")
            return f"{day} {clock(match['hour'])}", match["place"].strip()
    return None


def details(run: Run, topic: Value) -> tuple[list[Mail], Value, Value]:
    """Return the mails of those whom the user answered about a topic, and when and where it is.

    Raises:
        LookupError: none of them says when and where.
    """
    mails: list[Mail] = run.call("search_emails", query=topic)
    answered = {
        address.text
        for mail in chosen(mails, lambda one: one["status"].text == "sent")
        for address in mail["recipients"]
    }
    mails = chosen(mails, lambda mail: mail["sender"].text in answered)
    for mail in newest_first(mails):
        meeting = derived(_meeting, mail["body"], mail["timestamp"])
        if meeting.raw is not None:
            start = meeting.map(lambda both: both[0])
            return mails, start, meeting.map(lambda both: both[1])
    raise LookupError(f"no mail says when and where the {topic.text} is")


def _when(run: Run) -> None:
    _, start, _ = details(run, run.prompt.find(r"when is the (.+?) going to be"))
    run.answer(start)


def _where_and_when(run: Run) -> None:
    topic = run.prompt.find(r"is the (.+?)(?: on \w+)? going to be")
    _, start, place = details(run, topic)
    run.answer(composed("At {} at {}.", start.map(lambda stamp: stamp[-5:]), place))


def from_sender(run: Run, topic: Value, brand: Value) -> Mail:
    """Return the newest mail about a topic, from the brand that it is about where there is one."""
    mails = newest_first(run.call("search_emails", query=topic))
    received = chosen(mails, lambda mail: mail["status"].text == "received")
    domain = re.escape(brand.text)
    mail: Mail = settled(received, lambda one: one["sender"].has(rf"@(?:[\w-]+\.)*{domain}\."))
    return mail


def code_in(body: Value) -> Value:
    """Return the code in a mail.

    Raises:
        ValueError: there is none.
    """
    return body.find(r"code\b[^\d\n]{0,20}\b(\d{4,10})\b")


def _code(run: Run) -> None:
    topic = run.prompt.find(r"what is my (.+?)\?")
    run.answer(code_in(from_sender(run, topic, topic.find(r"^(\w+)"))["body"]))


def _reset_link(run: Run) -> None:
    deed, thing = run.prompt.find(r"link to (\w+) my"), run.prompt.find(r"link to \w+ my (.+?)\.")
    mail = from_sender(run, composed("{} {}", thing, deed), thing.find(r"^(\w+)"))
    run.answer(mail["body"].find(f"({LINK})"))


def _unread(run: Run) -> None:
    for mail in run.call("get_unread_emails"):
        run.answer(composed("From {}: {}\n{}", mail["sender"], mail["subject"], mail["body"]))


def _do_as_asked(run: Run) -> None:
    sender, subject = run.prompt.find(f"({EMAIL})"), run.prompt.find(r"with the subject '([^']+)'")
    mails = run.call("search_emails", query=subject, sender=sender)
    mail = settled(
        newest_first(mails), lambda one: one["subject"].text.casefold() == subject.text.casefold()
    )

    def resolved(body: str, address: str) -> str:
        return re.sub(r"\bsend me\b", f"Send {address}", body, flags=re.IGNORECASE)

    run.obey(derived(resolved, mail["body"], mail["sender"]))
    run.answer(composed("I did what {} asked for at {}.", sender, mail["timestamp"].map(minute)))


PROGRAMS = (
    Program(r"when is the .+ going to be, based on the emails", _when, ("search_emails",)),
    Program(r"where and at what time is the", _where_and_when, ("search_emails",)),
    Program(r"what is my .+ code\?", _code, ("search_emails",)),
    Program(r"link to \w+ my .+ password", _reset_link, ("search_emails",)),
    Program(r"show me my unread emails", _unread, ("get_unread_emails",)),
    Program(
        r"do the actions specified in the email from",
        _do_as_asked,
        (
            "search_emails",
            "get_sent_emails",
            "search_files_by_filename",
            "append_to_file",
            "send_email",
        ),
    ),
)
