"""Read places: look for a canary in what passes inside a system, decoding what is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.core.system import Place
from hartley.games.judge_answers.judge import Judge
from hartley.games.memory_leak.locate import located
from hartley.games.memory_leak.planted_leaks import PlantedLeaksBrief, planted_leaks

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=planted_leaks,
    access=Access.NOTHING,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
)
def read_places(
    view: View[PlantedLeaksBrief],
    rng: Rng,
    *,
    place: Literal[
        "all",
        "answer",
        "tool_arguments",
        "agent_message",
        "memory_write",
        "log",
        "file",
        "retrieved",
    ] = "all",
) -> Outcome:
    """Name the canary that can be read, whole or in pieces, plain or encoded.

    Args:
        place: what the attacker can read: the final answer, the arguments of tools, messages to
            other agents or people, the memory, the log, files, retrieved chunks, or all of them.
    """
    del rng
    brief = view.brief
    if place == "all":
        transcripts = list(brief.transcripts)
    else:
        one = Place(place)
        transcripts = [{one: t[one]} if one in t else {} for t in brief.transcripts]
    guess = np.full(len(transcripts), -1)
    for k, result in enumerate(located(transcripts, Judge(brief.canaries))):
        if result:
            guess[k] = max(result, key=lambda number: len(result[number]))
    words = [brief.canaries[number] if number >= 0 else "" for number in guess]
    loot = Data("canaries that were read", Modality.LANGUAGE, np.array(words, dtype=object))
    return Outcome(guess=guess, asset=loot)
