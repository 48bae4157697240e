"""Chains: which attack can follow which, and by which slot the loot of one enters the next.

Loot enters by a *slot* (``engine.entering``). What is measured is the last attack; it is compared
with the same attack alone, or after a *control*: other attacks whose loot carries nothing of the
victim, at the same budget. All of this is checked before anything is played.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise, product
from typing import Any

from hartley import catalog
from hartley.core import Access, Attack, Game, Loot, Scene, Slot, Stage
from hartley.core.errors import UsageError
from hartley.engine.entering import TAKES, closed
from hartley.engine.plan.parameters import checked, defaults, ruled

NATURAL: Mapping[Loot, Slot] = {Loot.RECORDS: Slot.PUBLIC, Loot.POISON: Slot.TRAIN}
"""Where a kind of loot enters by itself, if the game takes it there: records are the attacker's
own, unless they are made to be trained on."""

WHITE_BOX = Access.LABELS | Access.SCORES | Access.EMBEDDINGS | Access.GRADIENTS | Access.WEIGHTS
"""What may be used of a model that the attacker holds."""


def stages_of(
    names: Sequence[str],
    slots: Sequence[str] = (),
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    game_params: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages of a chain, with every parameter and every link checked.

    Args:
        names: of the attacks, in order.
        slots: where each loot enters, one fewer than attacks; left out, the one slot that fits.
        params: parameters of the attacks, by name.
        game_params: parameters of their games, by name.

    Raises:
        UsageError: an unknown name or parameter, or an attack whose loot the next game cannot take,
            with the nearest chain that would fit.
    """
    if len(names) < 2:
        raise UsageError(f"a chain must have at least 2 attacks, got {len(names)}")
    if slots and len(slots) != len(names) - 1:
        raise UsageError(
            f"slots must be one for each link, {len(names) - 1} of {len(names)} attacks, got "
            f"{len(slots)}"
        )
    attacks: list[Attack] = [catalog.load("attack", name) for name in names]
    stages = []
    for k, attack in enumerate(attacks):
        values = (params or {}).get(attack.name, {})
        rules = ruled(
            attack.name, attack.game_params.items(), (game_params or {}).get(attack.game.name, {})
        )
        slot = None
        if k + 1 < len(attacks):
            slot = _slot(attacks, k, slots[k] if slots else "")
        stages.append(
            Stage(
                attack=attack.name,
                params=defaults(attack.parameters) | checked(attack, values),
                game=attack.game.name,
                game_params=defaults(attack.game.parameters) | checked(attack.game, rules),
                slot=slot,
            )
        )
    _check_aims(attacks, stages)
    return tuple(stages)


def control_of(
    stages: Sequence[Stage],
    against: Sequence[str],
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    game_params: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Stage, ...]:
    """Return the stages that a chain is compared with: its last attack alone, or after a control.

    Args:
        stages: of the chain.
        against: names of the attacks of the control, in order; empty for the last attack alone.
        params, game_params: as of ``stages_of``.

    Raises:
        UsageError: an unknown name, or a control whose loot is of another kind than that of the
            chain, or enters elsewhere.
    """
    last = stages[-1]
    if not against:
        return (last,)
    loot, controls = (catalog.load("attack", n).loot for n in (stages[-2].attack, against[-1]))
    if loot is not controls:
        raise UsageError(
            f"a control must bring home what the chain does, {loot} as {stages[-2].attack}, got "
            f"{controls} of {against[-1]}{_other_controls(loot)}"
        )
    slots = [*[""] * (len(against) - 1), str(stages[-2].slot)]
    control = stages_of([*against, last.attack], slots, params=params, game_params=game_params)
    if [stage.attack for stage in control] == [stage.attack for stage in stages]:
        raise UsageError(
            f"a control must be other attacks than the chain, got {', '.join(against)}"
        )
    return (*control[:-1], last)


def _other_controls(loot: Loot) -> str:
    """Name the controls that bring home this kind of loot."""
    names = [e.name for e in catalog.entries("attack") if e.control and e.loot == str(loot)]
    return f"; controls are {', '.join(names)}" if names else ""


def per_victim(stages: Sequence[Stage]) -> bool:
    """Whether the loot that enters the last stage is taken from each of its victims.

    A model always is; records for the attacker are where the attack was aimed at a model and the
    last game's victims are models. Else the attack is aimed once: at the records that the last game
    asks about, or at the deployed model.
    """
    *before, last = stages
    if not before or before[-1].slot not in (Slot.SOURCE, Slot.PUBLIC):
        return False
    if before[-1].slot is Slot.SOURCE:
        return True
    game: Game = catalog.load("game", last.game)
    return _aims_at(before[-1]) == "model" and Slot.SOURCE in game.accepts


def parted(stages: Sequence[Stage]) -> tuple[Sequence[Stage], Sequence[Stage]]:
    """Return the stages before the last: those aimed once, and those aimed at each of its victims.

    An attack that is aimed at records is aimed once, and so is everything before it.
    """
    before = stages[:-1]
    if not per_victim(stages):
        return before, ()
    first = next((k for k in range(len(before), 0, -1) if _aims_at(before[k - 1]) == "records"), 0)
    return before[:first], before[first:]


def _aims_at(stage: Stage) -> str:
    game: Game = catalog.load("game", stage.game)
    return game.aims_at


def open_access(stages: Sequence[Stage]) -> Access:
    """Return what the last attack may use of what it holds, whatever its victims offer."""
    return WHITE_BOX if len(stages) > 1 and stages[-2].slot is Slot.SOURCE else Access.NOTHING


def check_scene(stages: Sequence[Stage], scene: Scene) -> None:
    """Check a chain against its scene, before anything is played.

    Raises:
        UsageError: an attack for other records than the scene's, a scene that lacks what an attack
            is aimed by, or a slot of the scene that nothing can enter.
    """
    for stage, after in zip(stages, [*stages[1:], None], strict=True):
        plays = catalog.find("attack", stage.attack).modalities
        if scene.modality not in plays:
            raise UsageError(
                f"{stage.attack} cannot be in a chain on {scene.name}: it plays "
                f"{', '.join(plays)}, and {scene.name} is {scene.modality}"
            )
        game: Game = catalog.load("game", stage.game)
        needs = game.needed_to_aim(scene.modality) if after is not None else ()
        if after is not None and (lacks := [name for name in needs if not scene.has(name)]):
            raise UsageError(
                f"{after.attack} cannot follow {stage.attack} on {scene.name}: to aim "
                f"{stage.attack} the scene must hold {_listed(needs)}, and lacks {_listed(lacks)}"
            )
        if after is not None and stage.slot is not None and (why := closed(scene, stage.slot)):
            raise UsageError(f"{after.attack} cannot follow {stage.attack} on {scene.name}: {why}")


def _listed(names: Sequence[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def _check_aims(attacks: Sequence[Attack], stages: Sequence[Stage]) -> None:
    """Check that each attack before the last one has something to be aimed at.

    An attack that is aimed at records needs a last game that names some. What it leaves in the
    training of models must be trained on by the victims that attacks behind it are aimed at.

    Raises:
        UsageError: the last game names no records, or its victims are not trained on what was left
            for them.
    """
    last = attacks[-1]
    aimed = [attack for attack in attacks[:-1] if attack.game.aims_at == "records"]
    if aimed and last.game.targets is None:
        raise UsageError(
            f"{last.name} cannot follow {attacks[-2].name}: the game {last.game.name} names no "
            f"records that {aimed[0].name} can be aimed at{_nearest(attacks, len(stages) - 2)}"
        )
    once, each = parted(stages)
    if once and each and once[-1].slot is Slot.TRAIN and Slot.TRAIN not in last.game.accepts:
        raise UsageError(
            f"{last.name} cannot end a chain with {once[-1].attack} before {each[0].attack}: the "
            f"victims of {last.game.name} are not trained on what {once[-1].attack} leaves"
            f"{_nearest(attacks, len(stages) - 2)}"
        )


def _slot(attacks: Sequence[Attack], k: int, name: str) -> Slot:
    """The slot by which the loot of the k-th attack enters the game of the next."""
    attack, after = attacks[k], attacks[k + 1]
    link = f"{after.name} cannot follow {attack.name}"
    open_ = _open(attack.loot, after.game)
    if attack.game.aim is None:
        raise UsageError(
            f"{link}: the game {attack.game.name} cannot be aimed at the targets of another game"
            f"{_nearest(attacks, k)}"
        )
    if name and name not in set(Slot):
        raise UsageError(f"slot must be one of {', '.join(Slot)}, got {name!r}")
    if (name and Slot(name) not in open_) or not open_:
        accepts = after.game.accepts
        listed = ", ".join(f"{slot} ({' or '.join(TAKES[slot])})" for slot in accepts) or "nothing"
        where = f" by the slot {name}" if open_ else ""
        hint = f"; it can by {' or '.join(open_)}" if open_ else _nearest(attacks, k)
        raise UsageError(
            f"{link}{where}: its loot is {attack.loot}; the game {after.game.name} accepts "
            f"{listed}{hint}"
        )
    return Slot(name) if name else open_[0]


def _open(loot: Loot, game: Game) -> list[Slot]:
    """The slots of a game that take a kind of loot: the natural one first, then in its order."""
    open_ = [slot for slot in game.accepts if loot in TAKES[slot]]
    return sorted(open_, key=lambda slot: slot is not NATURAL.get(loot))


def _nearest(attacks: Sequence[Attack], k: int) -> str:
    """Name the nearest chain that would fit: another attack in one of the places k and k + 1.

    Near is an attack of the same class, then one that leaves the last attack, then one by which the
    chain plays more kinds of records, then one of a like name.
    """
    games: dict[str, Game] = {
        e.name: catalog.load("game", e.name) for e in catalog.entries("game") if not e.error
    }
    names = [attack.name for attack in attacks]

    def fits(ends: Sequence[tuple[Loot, Game]]) -> bool:
        last = ends[-1][1]
        aimed = all(
            game.aim is not None and (game.aims_at == "model" or last.targets is not None)
            for _, game in ends[:-1]
        )
        return aimed and all(_open(loot, after) for (loot, _), (_, after) in pairwise(ends))

    def choices() -> Iterator[tuple[tuple[bool, bool, int, float], list[str]]]:
        for entry, place in product(catalog.entries("attack"), (k, k + 1)):
            if entry.error or entry.control or entry.game not in games or entry.name in names:
                continue
            game, old = games[entry.game], attacks[place]
            ends = [(attack.loot, attack.game) for attack in attacks]
            ends[place] = (Loot(entry.loot or str(Loot.RECORDS)), game)
            others = [attack for attack in attacks if attack is not old]
            plays = {*entry.modalities}.intersection(*(map(str, a.modalities) for a in others))
            if plays and fits(ends):
                alike = SequenceMatcher(None, entry.name, old.name).ratio()
                near = (game.cls == old.game.cls, place == k, len(plays), alike)
                yield near, [*names[:place], entry.name, *names[place + 1 :]]

    best = max(choices(), default=None, key=lambda choice: choice[0])
    return "" if best is None else f"; nearest that fits: hartley chain {' '.join(best[1])}"
