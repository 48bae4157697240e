"""Which attacks can be played on a scene, and the reason why each of the others cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

from hartley import catalog
from hartley.catalog import Entry
from hartley.core import Access, Attack, Data, Form, Game, Modality, Scene
from hartley.core.capabilities import opened_by
from hartley.core.errors import UsageError
from hartley.core.scene import part_names
from hartley.engine.plan.plan import Plan, matches


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an attack is not played.

    Attributes:
        cause: ``modality``, ``scene``, ``access``, ``training``, ``plan``, ``install``; ``order``:
            it is played where a plan names it; ``broken``: it should have been playable, which
            ends as a failed row. ``training``: the owner could give what is missing, and a gate
            does not pass without it.
        reason: one sentence.
    """

    cause: str
    reason: str


CALLED = {
    "graph": "single graph of which its records are nodes",
    "small_graph_links": "small graphs as its records",
    "link_budget": "graphs whose links may be flipped",
    "withheld": "secrets that its model withholds",
    "planned_agent": "agent whose plan is known before it acts",
    "tuner": "service that tunes its model",
    "ruled_tuner": "service that tunes its model",
    "gpt_tuner": "small transformer of Hartley's own that can be tuned",
}
"""What a person reads in place of the name of what a scene lacks, where that would mislead."""


def choose(plan: Plan, scene: Scene) -> list[tuple[Entry, Obstacle | None]]:
    """Return every attack of the catalogue with the obstacle to playing it, or None."""
    return [(entry, obstacle(entry, scene, plan)) for entry in catalog.entries("attack")]


def obstacle(entry: Entry, scene: Scene, plan: Plan) -> Obstacle | None:
    """Return why an attack is not played on a scene, or None."""
    if entry.error and entry.kind == "plugin":
        return Obstacle("broken", entry.error)
    reason = left_out(entry, plan)
    if entry.error:
        return Obstacle("plan", reason) if reason else Obstacle("broken", entry.error)
    # What the scene cannot carry is not the plan's doing: the gate holds only that against a plan.
    why_not = unplayable(entry, scene) or (Obstacle("plan", reason) if reason else None)
    if entry.game in scene.settings.on_order and (why_not is None or why_not.cause == "access"):
        return why_not if _ordered(entry, plan) else Obstacle("order", UNASKED)
    return why_not


NO_GOALS = (
    "injection is not measured, because the agent has no goals: name what an attacker may want of "
    "it in goals"
)
"""Why a user's own agent is not attacked."""

UNASKED = (
    "it changes records until the model errs, at hundreds of calls a record, and is not part of "
    "what a model leaks: --only jailbreak plays it"
)
"""Why evasion is left out of an audit of a user's own model."""


def _ordered(entry: Entry, plan: Plan) -> bool:
    """Whether a plan names an attack, its game, its class or its axis, in whatever place."""
    subjects = [key.partition(".")[0] for key in plan.limits]
    named = any(matches(pattern, entry) for pattern in (*plan.only, *subjects))
    return named or entry.name in plan.attacks or entry.game in plan.games


def left_out(entry: Entry, plan: Plan) -> str:
    """Return which pattern of a plan leaves an attack out, or an empty string."""
    if plan.only and not any(matches(p, entry) for p in plan.only):
        return f"left out by the plan: only {', '.join(plan.only)}"
    skipped = next((pattern for pattern in plan.skip if matches(pattern, entry)), None)
    return "" if skipped is None else f"left out by the plan: skip {skipped}"


def unplayable(
    entry: Entry | Attack, scene: Scene, holds: Access = Access.NOTHING
) -> Obstacle | None:
    """Return why an attack cannot be played on a scene, or None, whatever the plan says.

    Args:
        entry: the attack.
        scene: what it attacks.
        holds: what it may use of a model that it holds in the victim's place.

    Raises:
        UsageError: no attack can, because the scene's model cannot read its records.
    """
    if mistake := unreadable(scene):
        raise UsageError(mistake)
    game = entry.game if isinstance(entry.game, Game) else catalog.find("game", entry.game)
    access = entry.access.words if isinstance(entry.access, Access) else entry.access
    if (other := of_other_records(entry, game, scene.name, scene.modality)) is not None:
        return other
    lacking = scene.lacking((*game.requires, *entry.requires))
    if lacking == ["pretrained"] and scene.fit is None:
        return Obstacle(
            "access",
            f"it compares with the model before fine-tuning, which {scene.name} comes without: "
            "name its folder with --reference",
        )
    without_canaries = "canaries" in lacking and scene.fit is None and scene.model is not None
    if without_canaries and scene.modality is Modality.LANGUAGE:
        return Obstacle(
            "access",
            f"it reads planted secrets, and {scene.name} comes without: train on those that "
            "`hartley canaries make` draws, and name them with --canaries",
        )
    whole = "members" in game.requires and _classifies_texts(scene)
    if lacking or whole:
        words = [CALLED.get(name, name) for name in lacking]
        reason = f"the scene {scene.name} has no {_list(words)}"
        if not lacking:
            reason = f"it reads log-probabilities of tokens, and {scene.name} classifies texts"
        of_goals = lacking == ["agent"] and scene.facts.get("goals") == 0
        return Obstacle("access", NO_GOALS) if of_goals else Obstacle("scene", reason)
    parts = [part for part in scene.parts if {*part_names(type(part))} & {*game.requires}]
    for part in parts:
        if (unmet := getattr(part, "unmet", None)) is not None and (reason := unmet(scene)):
            return Obstacle("scene", reason)
    return _closed([word for word in access if word not in holds.words], scene, parts)


def of_other_records(
    entry: Entry | Attack, game: Entry | Game, scene: str, modality: str
) -> Obstacle | None:
    """Return that an attack or its game is not for records of a modality, or None."""
    for who, fits in (
        ("it plays", entry.modalities),
        (f"the game {game.name} is for", game.modalities),
    ):
        if modality not in fits:
            return Obstacle("modality", f"{who} {_list(fits)}; {scene} is {modality}")
    return None


def _closed(access: Collection[str], scene: Scene, parts: Iterable[object]) -> Obstacle | None:
    """Return what an attack needs to do with a model that the model does not offer, or None."""
    if scene.model is None:
        return None
    open_ = scene.model.offers
    for part in parts:
        open_ |= getattr(part, "grants", Access.NOTHING)
    denied = [
        flag.name.lower()
        for flag in opened_by()
        if flag.name and flag.name.lower() in access and not flag & open_
    ]
    if denied == ["train"]:
        flags = "" if scene.modality is Modality.LANGUAGE else "--fit, --retrain, or "
        return Obstacle(
            "training",
            f"it trains reference models, and {scene.name} comes without its training: give it "
            f"({flags}fit in a scene of yours)",
        )
    chats = "chat" in scene.model.calls and scene.model.codec is None
    if denied and chats and scene.has("withheld"):
        return Obstacle(
            "access",
            f"it needs {_list(denied)}, and {scene.name} is asked by chat alone: name the folder "
            "of the model in place of its endpoint",
        )
    if denied == ["scores"] and scene.modality is Modality.LANGUAGE:
        return Obstacle(
            "access",
            f"it reads log-probabilities, and {scene.name} gives generated text alone: serve it "
            "where the API returns those of a prompt (echo), as vLLM does",
        )
    return Obstacle("access", _withheld_access(denied, scene)) if denied else None


def _withheld_access(denied: list[str], scene: Scene) -> str:
    """Say that a model does not offer what an attack needs, and how it would."""
    settings = scene.settings
    if all(Access[name.upper()] & settings.opens for name in denied):
        return f"needs {_list(denied)}, which {scene.name} keeps back: add {settings.opening}"
    assert scene.model is not None
    offers = _list(scene.model.offers.words) or "nothing"
    return f"needs {_list(denied)}; the model of {scene.name} offers {offers}"


def unreadable(scene: Scene) -> str:
    """Return which records of a scene its model cannot read, or an empty string."""
    model = scene.model
    if model is None or not model.reads:
        return ""
    named = {"train": scene.train, "holdout": scene.holdout, **scene.extra}
    for name, data in named.items():
        if not isinstance(data, Data) or data.form is not Form.ARRAY:
            continue
        size = prod(data.x.shape[1:])
        if data.modality is model.modality and size != model.reads:
            return (
                f"records of {name} in the scene {scene.name} must have {model.reads} numbers "
                f"each, because the model {model.name} reads that many, got {size}"
            )
    return ""


def _classifies_texts(scene: Scene) -> bool:
    """Whether the records are labelled texts that the model reads without a codec."""
    train, model = scene.train, scene.model
    return (
        train is not None
        and model is not None
        and train.form is Form.TEXT
        and train.y is not None
        and model.codec is None
    )


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(str, words))
