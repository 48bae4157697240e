"""Output filter: what would give a registered secret away is withheld, also where it is encoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hartley.core import Modality, Scene, Term, defense
from hartley.core.system import OBSERVED, Event, Place, SystemSession
from hartley.games.judge_answers.judge import Judge
from hartley.games.memory_leak.locate import located, too_long, transcript_of
from hartley.games.memory_leak.planted_leaks import Errands

if TYPE_CHECKING:
    from hartley.core.parts import Rng

WITHHELD = "[withheld]"
"""What is at a place instead of a text that gives a secret away."""


@dataclass(slots=True)
class _Filtered:
    """A session behind the filter."""

    session: SystemSession
    carrier: re.Pattern[str]
    places: tuple[Place, ...]
    decodes: bool
    secrets: tuple[str, ...] = ()

    def send(self, event: Event) -> tuple[Event, ...]:
        """Register the secret of a text that comes in; withhold what would give one away."""
        if event.place is Place.FILE and (match := self.carrier.fullmatch(event.text)):
            self.secrets = (*self.secrets, match["canary"])
        events = self.session.send(event)
        if not self.secrets:
            return events
        return tuple(self._passed(event, events) for event in events)

    def _passed(self, event: Event, events: tuple[Event, ...]) -> Event:
        if event.place not in self.places:
            return event
        if not self.decodes:
            hit = any(secret in event.text for secret in self.secrets)
        else:
            # Pieces of one secret over several events are withheld together.
            others = [other for other in events if other.place is event.place]
            transcript = transcript_of(others)
            (result,) = located([transcript], Judge(self.secrets), jointly=False)
            hit = bool(result or too_long(transcript, jointly=False))
        return replace(event, text=WITHHELD) if hit else event

    def close(self) -> None:
        """Close what is behind it."""
        self.session.close()


@defense(
    term=Term.BANDWIDTH,
    stage="system",
    protects=("planted_leaks",),
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    strongest={"where": "everywhere"},
    requires=("errands",),
)
def output_filter(
    scene: Scene,
    rng: Rng,
    *,
    where: Literal["answer", "everywhere"] = "answer",
    decodes: bool = True,
) -> Scene:
    """Withhold a text that gives away a secret which the owner has registered.

    The owner registers what is confidential when it comes in. Each text at a filtered place is read
    whole, in pieces and in encodings, and what is too long to be read together is withheld.

    The filter holds the exact secret and reads by the same judge as the audit. So with ``where`` =
    everywhere and ``decodes`` what is left is, by construction, what only a joint reading of
    several places sees; it does not say how a filter would fare that reads less, or against a
    leak in a form that neither reads. The attack on it has no settings that adapt to it.

    Args:
        where: the final answer alone, as most filters do, or all seven places.
        decodes: whether it reads encodings and pieces, or looks for the secret as it is written.
    """
    del rng
    errands = scene.part(Errands)
    system = errands.system
    places = (Place.ANSWER,) if where == "answer" else OBSERVED
    front, back = errands.carrier.split("{canary}")
    carrier = re.compile(f"{re.escape(front)}(?P<canary>.+?){re.escape(back)}", re.DOTALL)

    def opened(seed: int) -> SystemSession:
        return _Filtered(system.open(seed), carrier, places, decodes)

    filtered = replace(system, open=opened)
    return scene.with_part(replace(errands, system=filtered))
