"""Streamed topics: what do the lengths and times of encrypted records say about a conversation?

A chat service streams its answers token by token over TLS. The auditor draws the topic of each
conversation uniformly; an observer between client and service sees the length and the time of
every record and nothing else, and says the topic (Whisper Leak, arXiv:2511.03675). They have talked
to the service themselves, about every topic. Lengths are those of a real local TLS server
(``kit.streamed_tls``), times those of a declared schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from zlib import crc32

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.brief import adaptive_only_but
from hartley.core.errors import UsageError
from hartley.core.taxonomy import Form
from hartley.kit.streamed_tls import Answer, StreamedService, drafted, observed, stacked

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@dataclass(frozen=True)
class StreamedAnswers:
    """What a chat service says about each of several topics.

    Attributes:
        topics: their names.
        answers: of each topic, the answers that users may get.
        known: of each topic, the answers that the observer may get; the same, or others.
        turns: answers of one conversation.
        talks: conversations that the observer holds with the service about each topic.
    """

    topics: tuple[str, ...]
    answers: tuple[tuple[Answer, ...], ...]
    known: tuple[tuple[Answer, ...], ...]
    turns: int = 4
    talks: int = 40

    def __post_init__(self) -> None:
        short = [
            topic
            for topic, *pools in zip(self.topics, self.answers, self.known, strict=True)
            if not all(pools)
        ]
        if short or len(self.topics) < 2:
            raise UsageError(
                f"streamed answers must have at least 2 topics with answers, got {self.topics} "
                f"without answers about {short}"
            )


def live(modality: Modality, rng: Rng) -> Scene:
    """A service whose answers about each topic have words of other lengths in another order."""
    del rng
    words = ("a", "bbb", "ccccccc", "ddddddddddddd")
    texts = [[words[(k + t) % 4] for k in range(12)] for t in range(4)]
    return _scene("live", modality, texts)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A service that says the same about every topic."""
    del rng
    return _scene("dead", modality, [["nothing", " to", " say"]] * 4)


def _scene(name: str, modality: Modality, texts: Sequence[Sequence[str]]) -> Scene:
    pools = tuple((answer,) for answer in drafted(texts))
    topics = tuple(f"topic {k}" for k in range(len(texts)))
    service_answers = StreamedAnswers(topics, pools, pools, turns=1, talks=4)
    return Scene(name=name, modality=modality, parts=(service_answers, StreamedService()))


def _known(value: Any, scene: Scene) -> Data | None:
    """Return what the observer saw of a service without the defenses that they do not know.

    They are other conversations than those behind the defenses, drawn by them.
    """
    return None if value is None else behind(scene, crc32(np.ascontiguousarray(value.x).tobytes()))


@dataclass(frozen=True, slots=True)
class StreamedTopicsBrief:
    """What an observer of a streamed conversation knows; the source of the view is its trace.

    Attributes:
        topics: names of the topics, of which the auditor drew one uniformly.
        talks: conversations of the observer's own with the service: ``x`` (n, records, 2) are
            length and second of each record, filled up with −1; ``y`` are their topics. They were
            held before the service padded, batched or waited.
        behind: the same conversations behind its defenses, for an observer who knows of them.
    """

    topics: tuple[str, ...]
    talks: Data
    behind: Data | None = field(default=None, metadata=adaptive_only_but(_known))


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="conversation",
    live=live,
    dead=dead,
    brief=StreamedTopicsBrief,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "a picture is not sent token by token",
        "audio": "streamed speech has records of one length for one codec and rate",
        "graph": "a graph is not sent token by token",
        "tabular": "a table is not sent token by token",
        "paired": "a picture with its text is not sent token by token",
    },
    requires=("streamed_answers",),
    metrics=("records", "streamed_bytes"),
    paper="arXiv:2511.03675",
)
def streamed_topics(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 200,
) -> Deal:
    """Stream conversations about topics that the auditor draws; the observer says each topic.

    Args:
        rounds: number of conversations, each about one topic and over a connection of its own.
    """
    service_answers = scene.part(StreamedAnswers)
    service = scene.find(StreamedService) or StreamedService()
    topics = rng.integers(0, len(service_answers.topics), rounds)
    traces = observed(
        service, [_talk(service_answers.answers[t], service_answers.turns, rng) for t in topics]
    )
    salt, seed = (int(rng.integers(2**31)) for _ in range(2))
    plain = _talks(service_answers, StreamedService(), scene.modality, seed)
    brief = StreamedTopicsBrief(service_answers.topics, plain, behind(scene, seed))
    dealt = tuple(
        Round(
            view=View(
                source=Data(
                    "trace", scene.modality, trace[None], role="ciphertext", form=Form.ARRAY
                ),
                brief=brief,
                defenses=scene.defenses,
                salt=salt,
            ),
            truth=np.array([topic]),
            alphabet=len(service_answers.topics),
        )
        for trace, topic in zip(traces, topics, strict=True)
    )
    return Deal(
        rounds=dealt,
        # Each conversation is drawn by itself: no two share a secret.
        cluster=False,
        metrics={
            "records": float(np.mean([len(trace) for trace in traces])),
            "streamed_bytes": float(np.mean([trace[:, 0].sum() for trace in traces])),
        },
    )


def behind(scene: Scene, seed: int) -> Data | None:
    """Return conversations of an observer with the service of a scene; None where it is plain.

    Args:
        scene: of the service.
        seed: of the conversations.
    """
    service = scene.find(StreamedService) or StreamedService()
    if service == StreamedService():
        return None
    return _talks(scene.part(StreamedAnswers), service, scene.modality, seed)


@lru_cache(maxsize=16)
def _talks(
    service_answers: StreamedAnswers, service: StreamedService, modality: Modality, seed: int
) -> Data:
    rng = np.random.default_rng(seed)
    topics = np.repeat(np.arange(len(service_answers.topics)), service_answers.talks)
    traces = observed(
        service, [_talk(service_answers.known[t], service_answers.turns, rng) for t in topics]
    )
    return Data(
        "talks of the observer", modality, stacked(traces), topics, role="traces", form=Form.ARRAY
    )


def _talk(pool: Sequence[Answer], turns: int, rng: Rng) -> list[Answer]:
    return [pool[k] for k in rng.integers(0, len(pool), turns)]
