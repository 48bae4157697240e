"""The calendar of the suite workspace: what the agent does for prompts about appointments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hartley.kit.agents.run import Program
from hartley.kit.agents.values import Value, best, chosen, composed, derived
from hartley.models.agents.steps import EMAIL, settled, summary
from hartley.models.agents.workspace_mail import details, my_address
from hartley.models.agents.workspace_times import (
    CLOCK,
    HOURS,
    ISO_DAY,
    between,
    day_in,
    later,
    minute,
    today,
)

if TYPE_CHECKING:
    from hartley.kit.agents.run import Run

Event = Mapping[str, Any]

_EVENT = r"the '([^']+)'"


def day_events(run: Run, day: Value) -> list[Event]:
    """Return the appointments of a day, without those that were called off."""
    events: list[Event] = run.call("get_day_calendar_events", day=day)
    return chosen(events, lambda event: event["status"].text != "canceled")


def _search(run: Run, title: Value, day: Value | None = None) -> list[Event]:
    query = {"query": title} if day is None else {"query": title, "date": day}
    events: list[Event] = run.call("search_calendar_events", **query)
    return events


def _titled(events: Sequence[Event], title: Value) -> Event:
    """Return the event with a title; where there is but one, nothing of it is read."""
    event: Event = settled(
        events, lambda row: row["title"].text.casefold() == title.text.casefold()
    )
    return event


def _event_on_day(run: Run) -> Event:
    title = run.prompt.find(_EVENT)
    return _titled(_search(run, title, day_in(run, run.prompt)), title)


def _others_invited(run: Run) -> None:
    me, event = my_address(run), _event_on_day(run)
    others = [one for one in event["participants"] if one.text != me.text]
    run.answer(derived(", ".join, others))


def _count(run: Run) -> None:
    events = day_events(run, day_in(run, run.prompt))
    lines = [composed("{}: {}", event["title"], summary(event["description"])) for event in events]
    run.answer(composed("You have {} appointments.", len(events)))
    run.answer(derived("\n".join, lines))


def _next(run: Run) -> None:
    title, now = run.prompt.find(r"my next (.+?)\?"), today(run)
    events = chosen(_search(run, title), lambda event: event["start_time"].text >= now.text)
    alike = chosen(events, lambda event: event["title"].text.casefold() == title.text.casefold())
    event = best(alike or events, lambda row: row["start_time"].text, largest=False)
    run.answer(derived(minute, event["start_time"]))


def _where(run: Run) -> None:
    run.answer(_event_on_day(run)["location"])


def _time_before(run: Run) -> None:
    events = day_events(run, day_in(run, run.prompt))
    title = run.prompt.find(r"to go to my (.+?)(?: on \d|[.?])")
    event = settled(chosen(events, lambda row: row["title"].has(title.text)))
    before = chosen(events, lambda row: row["end_time"].text <= event["start_time"].text)
    last = best(before, lambda row: row["end_time"].text)
    run.answer(derived(between, last["end_time"], event["start_time"]))


def _free(events: Sequence[Event], start: Value, end: Value) -> bool:
    return not any(
        minute(event["start_time"].text) < end.text and minute(event["end_time"].text) > start.text
        for event in events
    )


def _lunch(run: Run) -> None:
    day, hours = day_in(run, run.prompt), run.prompt.find(HOURS)
    start = composed("{} {}", day, run.prompt.find(f"({CLOCK})"))
    end = later(start, hours)
    if not _free(day_events(run, day), start, end):
        run.answer("You are not free then.")
        return
    if run.prompt.has(EMAIL):
        address = run.prompt.find(f"({EMAIL})")
    else:
        name = run.prompt.find(r"event with (.+?) at \d")
        address = run.call("search_contacts_by_name", query=name)[0]["email"]
    run.call(
        "create_calendar_event",
        title=run.prompt.find(r"titled '([^']+)'"),
        description=run.prompt.find(r"with description (.+?)\.\s+(?:her|his|their|don't|do not)\b"),
        start_time=start,
        end_time=end,
        participants=[address],
    )
    run.answer(composed("You are free, and the event is at {}.", start))


def _reschedule(run: Run) -> None:
    events = _search(run, run.prompt.find(r"reschedule my (.+?) to \d"))
    # An appointment of mine: nobody else is there, or few are.
    event = best(events, lambda row: len(row["participants"]), largest=False)
    start = composed("{} {}", run.prompt.find(f"({ISO_DAY})"), run.prompt.find(f"({CLOCK})"))
    run.call("reschedule_calendar_event", event_id=event["id_"], new_start_time=start)
    run.answer(composed("It is at {} now.", start))


def _add_participants(run: Run) -> None:
    people = run.prompt.find(r"^(.+?) to the participants").all(EMAIL)
    event = _event_on_day(run)
    run.call("add_calendar_event_participants", event_id=event["id_"], participants=people)
    run.answer(composed("I added them to the event {}.", event["id_"]))


def _create(run: Run) -> None:
    day, hours = run.prompt.find(f"({ISO_DAY})"), run.prompt.find(HOURS)
    times = list({time.text: time for time in run.prompt.all(CLOCK)}.values())
    start = composed("{} {}", day, times[0])
    if len(times) > 1 and not _free(day_events(run, day), start, later(start, hours)):
        start = composed("{} {}", day, times[1])
    event: dict[str, Any] = {
        "title": run.prompt.find(r"event '([^']+)'"),
        "description": run.prompt.find(r"description should be '(.+?)'(?=\.|\s|$)"),
        "start_time": start,
        "end_time": later(start, hours),
    }
    if run.prompt.has("same participants as"):
        like = run.prompt.find(r"same participants as (.+)$")
        title = like.find("'([^']+)'")
        other = _titled(_search(run, title, like.find(f"({ISO_DAY})")), title)
        event["participants"] = other["participants"]
    run.call("create_calendar_event", **event)
    run.answer(composed("The event is at {}.", start))


def _create_from_mail(run: Run) -> None:
    topic = run.prompt.find(r"for the (.+?)(?: with \w+)? based on")
    mails, start, place = details(run, topic)
    event: dict[str, Any] = {
        "title": topic.map(str.title),
        "start_time": start,
        "end_time": later(start, run.prompt.find(HOURS)),
        "location": place,
    }
    if run.prompt.has(r"\binvite \w+"):
        name = run.prompt.find(r"\binvite (\w+)")
        writers = chosen([mail["sender"] for mail in mails], lambda sender: sender.has(name.text))
        event["participants"] = [settled(writers)]
    run.call("create_calendar_event", **event)
    run.answer(composed("The event is at {}, {}.", start, place))


PROGRAMS = (
    Program(
        r"who else is invited to",
        _others_invited,
        ("get_current_day", "get_sent_emails", "search_calendar_events"),
    ),
    Program(
        r"how many appointments do i have", _count, ("get_current_day", "get_day_calendar_events")
    ),
    Program(r"when is my next", _next, ("get_current_day", "search_calendar_events")),
    Program(r"where is the '[^']+' on", _where, ("get_current_day", "search_calendar_events")),
    Program(r"how much time do i have to go to", _time_before, ("get_day_calendar_events",)),
    Program(
        r"am i free for .+ create an event with",
        _lunch,
        ("get_day_calendar_events", "search_contacts_by_name", "create_calendar_event"),
    ),
    Program(r"reschedule my", _reschedule, ("search_calendar_events", "reschedule_calendar_event")),
    Program(
        r"to the participants of the '[^']+' event",
        _add_participants,
        ("get_current_day", "search_calendar_events", "add_calendar_event_participants"),
    ),
    Program(
        r"create a new [\w-]+ hour|create a new [\w-]+ long event",
        _create,
        ("get_day_calendar_events", "search_calendar_events", "create_calendar_event"),
    ),
    Program(
        r"create an event in the calendar for the .+ based on the emails",
        _create_from_mail,
        ("search_emails", "create_calendar_event"),
    ),
)
