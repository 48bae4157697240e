"""Plans: what to assess, on what, within which limits. TOML in, a frozen record out.

::

    scene = "digits"              # required, except in a plan that only carries limits for the gate
    seed = 0
    only = ["membership", "*_threshold"]     # classes, games, attacks or patterns; default: all
    skip = ["rmia"]
    alpha = 0.05                  # error level of every bound
    budget = 100000               # queries an attack may ask; default: no limit
    deployed = ["rounding"]       # defenses that the owner runs already: part of the baseline
    replicates = 1                # how often each attack is played, each time with fresh secrets

    [attacks.lira]                # parameters of an attack
    references = [16, 64]         # a list plays the attack once with each value
    [games.membership]            # parameters of a game
    rounds = 16
    [scenes.digits]               # parameters of the scene's recipe

    [defenses]
    use = ["dp_sgd", "rounding", "rounding+top_k"]   # one by one, or together; default: none
    pairs = true                  # also every two of those that are used alone; or a list of names
    adaptive = true               # also attackers who know the defense
    tuned_baseline = false        # attackers who know of none choose among their settings as well
    unclaimed = false             # also against attacks that a defense does not claim to narrow
    [defenses.dp_sgd]             # parameters of a defense
    epsilon = 4.0

    [[chains]]                    # attacks in order; the loot of each enters the scene of the next
    attacks = ["mislabelled_copies", "lira"]
    slots = ["train"]             # where; default: the slot that fits
    against = []                  # attacks of the control; default: the last attack alone
    [chains.games.membership]     # parameters of the games in this chain
    targets = 32
    [chains.params.lira]          # parameters of the attacks in this chain

    [loop]                        # optional: a closed loop, see docs/loop.md
    start = 0.125                 # compromised share of the first leg's asset in round 0
    doses = [0, 0.125, 0.25, 0.5] # shares that each asset is set to; 3 or more
    rounds = 4                    # times round the loop that are really run; 3 or more
    clusters = 16                 # independent owners with secrets of their own
    [[loop.legs]]                 # in order; each takes what the one before leaves
    from = "uploads"
    to = "victim"
    attack = "mislabelled_copies"
    params = { copies = 2 }       # of the attack
    game = { poisons = 2 }        # of its game

    [limits]                      # in bits per use, see hartley.engine.result.gate
    membership = 0.05             # every attack of the class
    "attack:lira" = 0.02          # one attack
    "axis:model_to_data" = 0.2    # every class on the axis
    "membership.tpr_at_fpr_1e2" = 0.05       # a usual metric, where larger is worse
    strict = true                 # a pass also counts what victims who showed nothing could hide
    [limits.least]                # what must have been played for a pass, see engine.result.least
    attacks = ["lira"]            # these are enough; by default every attack that fits, as shipped

    [looks]                       # optional: judge earlier, and stop once the limits are settled
    rounds = [8, 16, 32]          # victims after which each row is judged, at alpha / 3 each

    [executor]
    kind = "local"                # or "ray": on the machines of a Ray cluster
    address = "local"             # with ray: local, auto or HOST:PORT of the cluster's head
    code = "plugins"              # with ray: a folder that is sent along, for plugins
    workers = 2                   # worker processes
    time_limit = 21600            # seconds that one job may take; its row fails and the run goes on
    memory_limit = 4.0            # GiB that one job may hold; default: 80 % of the machine's memory
    isolate = true                # every attack in a process of its own; default: those of plugins
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

from hartley import catalog
from hartley.core.errors import BadPlan, UnknownName, UsageError, did_you_mean
from hartley.core.input_files import LARGEST_TEXT, read_bytes, toml_table
from hartley.core.taxonomy import Axis
from hartley.core.toml_mistakes import located
from hartley.engine.loop.loop_order import Leg, LoopOrder
from hartley.engine.plan.own_scene import POISONABLE, SPARING, of_plan
from hartley.engine.result.document import finite
from hartley.engine.result.gate import check_limit, covers
from hartley.engine.result.least import REFERENCES, Least, read_least

CHAINS, LOOP = "chains", "loop"
"""The patterns of ``only`` that leave nothing but the chains, or the loop, of a plan."""

STAGES = ("data", "training", "marker", "cipher", "release", "system", "output", "budget")
"""Stages of defenses in the order in which they act: a retraining drops what came before it."""
SWITCHES = ("tuned_baseline", "unclaimed")
"""Switches of the table ``defenses`` that are off unless a plan says otherwise."""
MOST_ROWS = 10_000
"""Rows of a run that a plan may order by its lists and replicates."""
MOST_LOOKS = 5
"""Looks that a plan may declare; each has its share of alpha."""
MOST_WORKERS = 1024
"""Processes of one run."""

Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Chain:
    """Attacks in order, as a plan lists them.

    Attributes:
        attacks: their names.
        slots: where each loot enters, one fewer than attacks; empty for the slot that fits.
        against: attacks of the control, after which the last attack is played for comparison;
            empty: it is played alone.
        params, games: parameters of the attacks and of their games, by name.
    """

    attacks: tuple[str, ...]
    slots: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    params: Table = field(default_factory=dict)
    games: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One audit. ``name`` is the name of its run."""

    scene: str = ""
    seed: int = 0
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    attacks: Table = field(default_factory=dict)
    games: Table = field(default_factory=dict)
    scenes: Table = field(default_factory=dict)
    defenses: Table = field(default_factory=dict)
    use: tuple[str, ...] = ()
    adaptive: bool = True
    tuned_baseline: bool = False
    unclaimed: bool = False
    deployed: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    loop: LoopOrder | None = None
    replicates: int = 1
    limits: Mapping[str, float] = field(default_factory=dict)
    strict: bool = False
    least: Least = field(default_factory=Least)
    looks: tuple[int, ...] = ()
    workers: int | None = None
    time_limit: float | None = None
    memory_limit: float | None = None
    isolate: bool | None = None
    executor: str = "local"
    address: str = "local"
    shipped_code: str = ""
    alpha: float = 0.05
    budget: int | None = None
    name: str = ""


def read(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        BadPlan: it cannot be read (the message has line and column), or a key or value is wrong.
        UnknownName: it names a part that does not exist.
    """
    return from_content(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return what a plan file holds.

    Raises:
        BadPlan: it cannot be read.
    """
    return read_bytes(path, "the plan", BadPlan, LARGEST_TEXT)


def from_content(content: bytes, path: Path) -> Plan:
    """Return the plan of the content of a file.

    Raises:
        BadPlan: it is not UTF-8 text, is malformed, or a key or value is wrong.
        UnknownName: it names a part that does not exist.
    """
    try:
        # Editors of Windows write a mark before the text.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadPlan(f"{path}: not UTF-8 text (byte {error.start})") from error
    return replace(parse(text, source=str(path)), name=path.stem)


def parse(text: str, *, source: str = "plan") -> Plan:
    """Read a plan from text.

    Raises:
        BadPlan: malformed TOML (line and column), an unknown key, a wrong type or value.
        UnknownName: it names a part that does not exist.
    """
    try:
        raw = toml_table(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPlan(f"{source}: {located(str(error), text)}") from error
    except ValueError as error:
        raise BadPlan(f"{source}: {error}") from error
    reader = _Reader(source)
    reader.known(raw, "", _KEYS)
    defenses = dict(reader.table(raw, "defenses"))
    use = reader.strings(defenses.pop("use", []), "defenses.use")
    use = reader.with_pairs(use, defenses.pop("pairs", False))
    adaptive = reader.of(bool, defenses.pop("adaptive", True), "defenses.adaptive")
    switches = {
        name: reader.of(bool, defenses.pop(name, False), f"defenses.{name}") for name in SWITCHES
    }
    limits = dict(reader.table(raw, "limits"))
    strict = reader.of(bool, limits.pop("strict", False), "limits.strict")
    least = reader.least(limits.pop("least", {}))
    scene = reader.of(str, raw.get("scene", ""), "scene")
    scenes = reader.parts(reader.table(raw, "scenes"), "scene")
    if "model" in raw or "data" in raw:
        if scene:
            raise BadPlan(f"{source}: scene must be absent where [model] and [data] say it")
        try:
            scene, params = of_plan(reader.table(raw, "model"), reader.table(raw, "data"))
        except UsageError as error:
            raise BadPlan(f"{source}: {error}") from error
        scenes[scene] = {**scenes.get(scene, {}), **params}
    plan = Plan(
        scene=scene,
        seed=reader.of(int, raw.get("seed", 0), "seed", low=0),
        only=reader.strings(raw.get("only", []), "only"),
        skip=reader.strings(raw.get("skip", []), "skip"),
        attacks=reader.parts(reader.table(raw, "attacks"), "attack"),
        games=reader.parts(reader.table(raw, "games"), "game"),
        scenes=scenes,
        defenses=reader.parts(defenses, "defense"),
        use=use,
        adaptive=adaptive,
        **switches,
        limits=reader.limits(limits),
        strict=strict,
        least=least,
        **reader.executor(reader.table(raw, "executor")),
        alpha=reader.of(float, raw.get("alpha", 0.05), "alpha"),
        budget=reader.of(int, raw["budget"], "budget", low=1) if "budget" in raw else None,
        chains=reader.chains(raw.get("chains", [])),
        loop=reader.loop(raw["loop"]) if "loop" in raw else None,
        deployed=reader.strings(raw.get("deployed", []), "deployed"),
        replicates=reader.of(int, raw.get("replicates", 1), "replicates", low=1),
        looks=reader.looks(reader.table(raw, "looks")),
    )
    _check_looks(plan, source)
    for attack in least.attacks:
        if not any(covers(key.partition(".")[0], attack) for key in plan.limits):
            raise BadPlan(
                f"{source}: limits.least.attacks must be about attacks that a limit covers, "
                f"got {attack!r}"
            )
    if not 0 < plan.alpha < 0.5:
        raise BadPlan(f"{source}: alpha must be above 0 and below 0.5, got {plan.alpha}")
    _check_rows(plan, source)
    check_names(plan)
    return plan


def _check_looks(plan: Plan, source: str) -> None:
    """Refuse looks in a plan whose rows cannot be played in batches, or that has nothing to settle.

    Raises:
        BadPlan: no limits, or what cannot be pooled over batches.
    """
    if not plan.looks:
        return
    if not plan.limits:
        raise BadPlan(f"{source}: a plan with looks must have a table [limits], got none")
    others = {
        "chains": plan.chains,
        "loop": plan.loop,
        "defenses.use": plan.use,
        "budget": plan.budget,
        "games.*.rounds": [name for name, params in plan.games.items() if "rounds" in params],
    }
    if clashing := [name for name, value in others.items() if value]:
        raise BadPlan(
            f"{source}: a plan with looks must be without chains, added defenses, a budget and "
            f"rounds of its games, got {', '.join(clashing)}"
        )


def at_look(plan: Plan, look: int) -> Plan:
    """Return the plan as it is judged at a look: with its rounds, at its share of alpha.

    Args:
        plan: a plan with looks.
        look: 1, 2, …
    """
    games = {e.game for e in catalog.entries("attack") if e.kind == "attack"}
    rounds = {"rounds": plan.looks[look - 1]}
    return replace(
        plan,
        alpha=plan.alpha / len(plan.looks),
        games={**plan.games, **{game: {**plan.games.get(game, {}), **rounds} for game in games}},
    )


def _check_rows(plan: Plan, source: str) -> None:
    """Refuse a plan of more work than any machine does: lists of values multiply.

    Raises:
        BadPlan: more than ``MOST_ROWS`` rows or ``MOST_WORKERS`` workers.
    """
    settings = [
        math.prod(len(value) for value in params.values() if isinstance(value, list))
        for params in plan.attacks.values()
    ]
    behind = 1 + 2 * len(plan.use)
    rows = (sum(settings) + len(plan.chains) or 1) * plan.replicates * behind
    if rows > MOST_ROWS:
        raise BadPlan(
            f"{source}: a plan must have at most {MOST_ROWS:,} rows (lists of values times "
            "replicates times defenses), got more; make several plans of it"
        )
    if plan.workers is not None and plan.workers > MOST_WORKERS:
        raise BadPlan(
            f"{source}: executor.workers must be at most {MOST_WORKERS}, got {plan.workers}"
        )


def scene_params(plan: Plan) -> dict[str, Any]:
    """Return the parameters that the scene of a plan is built with.

    Where the plan says how many reference models attacks have, a user's own model trains as many;
    where ``only`` names attacks of poisoning, it is trained on poisoned records.
    """
    params = dict(plan.scenes.get(plan.scene, {}))
    tables = [*plan.attacks.values(), plan.least.settings, *plan.least.parts.values()]
    if plan.scene in SPARING and any(REFERENCES in table for table in tables):
        params.setdefault("sparing", False)
    # Victims on poisoned records are many trainings of the user's: only where they are ordered.
    if plan.scene in POISONABLE and any(
        entry.game == "poisoning" and matches(pattern, entry)
        for pattern in plan.only
        for entry in catalog.entries("attack")
    ):
        params.setdefault("poisoned", True)
    return params


def check_names(plan: Plan) -> None:
    """Hold the names and patterns of a plan against the catalogue.

    Raises:
        UnknownName: a part that is not there, or a pattern that matches nothing.
    """
    for together in (*plan.use, *plan.deployed):
        for name in together.split("+"):
            bare = name.partition("(")[0]
            if bare != name:
                raise BadPlan(
                    f"a defense must be given by its name, got {name!r}; set its parameters in "
                    f"[defenses.{bare.strip()}]"
                )
            catalog.find("defense", name)
    attacks = [e for e in catalog.entries("attack") if e.kind == "attack"]
    for pattern in (*plan.only, *plan.skip):
        if pattern not in (CHAINS, LOOP) and not any(matches(pattern, e) for e in attacks):
            names = {name for e in attacks for name in (e.name, e.game, e.cls)}
            raise UnknownName("attack", pattern, names | {f"axis:{a}" for a in Axis})


def matches(pattern: str, entry: catalog.Entry) -> bool:
    """Whether a pattern of ``only`` or ``skip`` matches an attack, its game, class or axis."""
    from fnmatch import fnmatchcase

    kind, _, rest = pattern.rpartition(":")
    fields = {
        "": (entry.name, entry.game, entry.cls),
        "attack": (entry.name,),
        "game": (entry.game,),
        "class": (entry.cls,),
        "axis": (entry.axis,),
    }
    values = fields.get(kind, ())
    return any(fnmatchcase(value, rest) for value in values)


def sweep(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings that an attack's table orders: a list gives each of its values in turn."""
    names = list(params)
    values = [v if isinstance(v := params[name], list) else [v] for name in names]
    for combination in product(*values):
        yield dict(zip(names, combination, strict=True))


def normalised(plan: Plan) -> str:
    """Write a plan as TOML with nothing left to a default, in a fixed order."""
    rows = [
        f"scene = {_toml(plan.scene)}",
        f"seed = {plan.seed}",
        f"only = {_toml(plan.only)}",
        f"skip = {_toml(plan.skip)}",
        f"alpha = {plan.alpha!r}",
        *([f"budget = {plan.budget}"] if plan.budget is not None else []),
        f"deployed = {_toml(plan.deployed)}",
        f"replicates = {plan.replicates}",
    ]
    for kind in ("attacks", "games", "scenes"):
        rows += _tables(kind, getattr(plan, kind))
    rows += ["", "[defenses]", f"use = {_toml(plan.use)}", f"adaptive = {_toml(plan.adaptive)}"]
    rows += [f"{name} = true" for name in SWITCHES if getattr(plan, name)]
    rows += _tables("defenses", plan.defenses)
    for chain in plan.chains:
        rows += ["", "[[chains]]", f"attacks = {_toml(chain.attacks)}"]
        rows += [f"slots = {_toml(chain.slots)}"]
        rows += [f"against = {_toml(chain.against)}"] if chain.against else []
        rows += [*_tables("chains.params", chain.params), *_tables("chains.games", chain.games)]
    if plan.loop is not None:
        rows += _loop(plan.loop)
    if plan.looks:
        rows += ["", "[looks]", f"rounds = {_toml(plan.looks)}"]
    rows += ["", "[limits]", *(["strict = true"] if plan.strict else [])]
    rows += [*(f"{_toml(k)} = {v!r}" for k, v in sorted(plan.limits.items()))]
    for name, value in (least := plan.least.dump()).items():
        if not isinstance(value, Mapping):
            rows += [] if "[limits.least]" in rows else ["", "[limits.least]"]
            rows.append(f"{_toml(name)} = {_toml(value)}")
    rows += _tables("limits.least", {k: v for k, v in least.items() if isinstance(v, Mapping)})
    return "\n".join(rows) + "\n"


def as_table(plan: Plan) -> dict[str, Any]:
    """Return a normalised plan as the run document holds it: plain values of JSON."""
    table: dict[str, Any] = finite(tomllib.loads(normalised(plan)))
    return table


def _is_limit(key: str) -> bool:
    """Whether a key names what a limit may be about."""
    try:
        check_limit(key)
    except UsageError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Reader:
    """Checks of one plan file; every message begins with the name of the file."""

    source: str

    def known(self, table: Mapping[str, Any], prefix: str, names: Iterable[str]) -> None:
        names = list(names)
        for key in table:
            if key not in names:
                near = get_close_matches(key, names, n=1, cutoff=0.5)
                hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(names)}"
                if not prefix and _is_limit(key):
                    hint = "a limit is a line of the table [limits]"
                raise BadPlan(f"{self.source}: unknown key {prefix + key!r}; {hint}")

    def of(self, kind: type[Any], value: Any, key: str, *, low: int | None = None) -> Any:
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise BadPlan(
                f"{self.source}: {key} must be {_KINDS[kind]}, got {_toml(value)} ({_kind(value)})"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise BadPlan(f"{self.source}: {key} must be finite, got {value}")
        if low is not None and value < low:
            raise BadPlan(f"{self.source}: {key} must be at least {low}, got {value}")
        return kind(value)

    def executor(self, table: Mapping[str, Any]) -> dict[str, Any]:
        self.known(table, "executor.", _EXECUTOR_KEYS)
        kind = self.of(str, table.get("kind", "local"), "executor.kind")
        if kind not in EXECUTORS:
            raise BadPlan(
                f"{self.source}: executor.kind must be {' or '.join(EXECUTORS)}, got {kind!r}"
                f"{did_you_mean(kind, EXECUTORS)}"
            )
        for name in ("address", "code"):
            if name in table and kind == "local":
                raise BadPlan(
                    f'{self.source}: executor.{name} must go with kind = "ray", got kind = "local"'
                )
        workers, isolate = table.get("workers"), table.get("isolate")
        return {
            "executor": kind,
            "address": self.of(str, table.get("address", "local"), "executor.address"),
            "shipped_code": self.of(str, table.get("code", ""), "executor.code"),
            "workers": workers
            if workers is None
            else self.of(int, workers, "executor.workers", low=0),
            "time_limit": self.above_zero(table, "time_limit", "executor."),
            "memory_limit": self.above_zero(table, "memory_limit", "executor."),
            "isolate": isolate if isolate is None else self.of(bool, isolate, "executor.isolate"),
        }

    def above_zero(self, table: Mapping[str, Any], key: str, prefix: str) -> float | None:
        if key not in table:
            return None
        number: float = self.of(float, table[key], prefix + key)
        if number <= 0:
            raise BadPlan(f"{self.source}: {prefix}{key} must be above 0, got {number:g}")
        return number

    def strings(self, value: Any, key: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise BadPlan(f"{self.source}: {key} must be a list of strings, got {_toml(value)}")
        return tuple(value)

    def with_pairs(self, use: tuple[str, ...], pairs: Any) -> tuple[str, ...]:
        """Add every pair of defenses; of two the one that acts earlier comes first."""
        if isinstance(pairs, bool):
            names = [name for name in use if "+" not in name] if pairs else []
            if pairs and len(names) < 2:
                raise BadPlan(
                    f"{self.source}: defenses.pairs = true must have at least 2 single names in "
                    f"defenses.use, got {len(names)}"
                )
        else:
            names = list(dict.fromkeys(self.strings(pairs, "defenses.pairs")))
            if len(names) < 2:
                raise BadPlan(
                    f"{self.source}: defenses.pairs must be true or at least 2 names, got "
                    f"{_toml(pairs)}"
                )
        stages = {name: STAGES.index(catalog.find("defense", name).stage) for name in names}
        ordered = {frozenset(together.split("+")) for together in use}
        together = [
            "+".join(sorted(pair, key=stages.__getitem__))
            for pair in combinations(names, 2)
            if frozenset(pair) not in ordered
        ]
        # Each is played alone too: what a pair adds is judged against that.
        return tuple(dict.fromkeys([*use, *names, *together]))

    def table(self, raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = raw.get(key, {})
        if not isinstance(value, dict):
            raise BadPlan(f"{self.source}: {key} must be a table, [{key}], got {_kind(value)}")
        return value

    def parts(self, raw: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
        for name, params in raw.items():
            if not isinstance(params, dict):
                near = (
                    get_close_matches(name, ("use", "pairs", "adaptive", *SWITCHES), n=1)
                    if kind == "defense"
                    else ()
                )
                if near:
                    raise BadPlan(
                        f"{self.source}: unknown key 'defenses.{name}'; "
                        f"did you mean defenses.{near[0]}?"
                    )
                others = f"besides use, pairs, adaptive, {' and '.join(SWITCHES)}"
                note = f" ({others})" if kind == "defense" else ""
                raise BadPlan(
                    f"{self.source}: {kind}s.{name} must be a table of parameters, "
                    f"[{kind}s.{name}]{note}, got {_kind(params)}"
                )
            if not (kind == "scene" and ":" in name):
                catalog.find(kind, name)
        return {name: dict(params) for name, params in raw.items()}

    def chains(self, raw: Any) -> tuple[Chain, ...]:
        if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
            raise BadPlan(f"{self.source}: chains must be tables, [[chains]], got {_kind(raw)}")
        chains = []
        for table in raw:
            self.known(table, "chains.", ["attacks", "slots", "against", "params", "games"])
            chains.append(
                Chain(
                    attacks=self.strings(table.get("attacks", []), "chains.attacks"),
                    slots=self.strings(table.get("slots", []), "chains.slots"),
                    against=self.strings(table.get("against", []), "chains.against"),
                    params=self.parts(self.table(table, "params"), "attack"),
                    games=self.parts(self.table(table, "games"), "game"),
                )
            )
        return tuple(chains)

    def loop(self, raw: Any) -> LoopOrder:
        if not isinstance(raw, dict):
            raise BadPlan(f"{self.source}: loop must be a table, [loop], got {_kind(raw)}")
        self.known(raw, "loop.", ["legs", "chords", "start", "doses", "rounds", "clusters"])
        ring = self.legs(raw.get("legs", []), "loop.legs")
        order = LoopOrder(ring)
        doses = raw.get("doses", list(order.doses))
        if not isinstance(doses, list):
            raise BadPlan(f"{self.source}: loop.doses must be a list, got {_kind(doses)}")
        return LoopOrder(
            ring,
            start=self.of(float, raw.get("start", order.start), "loop.start"),
            doses=tuple(self.of(float, dose, "loop.doses") for dose in doses),
            rounds=self.of(int, raw.get("rounds", order.rounds), "loop.rounds"),
            clusters=self.of(int, raw.get("clusters", order.clusters), "loop.clusters"),
            chords=self.legs(raw.get("chords", []), "loop.chords"),
        )

    def legs(self, raw: Any, where: str) -> tuple[Leg, ...]:
        if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
            raise BadPlan(f"{self.source}: {where} must be tables, [[{where}]]")
        legs = []
        for table in raw:
            self.known(table, f"{where}.", ["from", "to", "attack", "params", "game"])
            names = [
                self.of(str, table.get(key, ""), f"{where}.{key}")
                for key in ("from", "to", "attack")
            ]
            if not all(names):
                raise BadPlan(f"{self.source}: each of {where} must have from, to and attack")
            settings = [dict(self.table(table, key)) for key in ("params", "game")]
            legs.append(Leg(*names, *settings))
        return tuple(legs)

    def looks(self, table: Mapping[str, Any]) -> tuple[int, ...]:
        self.known(table, "looks.", ["rounds"])
        rounds = table.get("rounds", [])
        if not isinstance(rounds, list) or (table and not 1 <= len(rounds) <= MOST_LOOKS):
            raise BadPlan(
                f"{self.source}: looks.rounds must be a list of 1 to {MOST_LOOKS} numbers of "
                f"rounds, got {_toml(rounds)}"
            )
        numbers = [self.of(int, number, "looks.rounds", low=1) for number in rounds]
        if any(later <= before for before, later in pairwise(numbers)):
            raise BadPlan(f"{self.source}: looks.rounds must ascend, got {_toml(rounds)}")
        return tuple(numbers)

    def least(self, table: Any) -> Least:
        if not isinstance(table, dict):
            raise BadPlan(
                f"{self.source}: limits.least must be a table, [limits.least], got {_kind(table)}"
            )
        try:
            return read_least(table)
        except UnknownName:
            raise
        except UsageError as error:
            raise BadPlan(f"{self.source}: {error}") from error

    def limits(self, raw: Mapping[str, Any]) -> dict[str, float]:
        flat: dict[str, float] = {}
        for key, value in raw.items():
            pairs = value.items() if isinstance(value, dict) else [("", value)]
            if not pairs:
                raise BadPlan(
                    f"{self.source}: limits.{key} must be a number or a table of metrics, "
                    "got an empty table"
                )
            for metric, number in pairs:  # an unquoted membership.auc = … arrives as a table
                name = f"{key}.{metric}" if metric else key
                if name in flat:
                    raise BadPlan(
                        f"{self.source}: limits.{name} must be set once, got it twice: "
                        f"as {name!r} and under {key!r}"
                    )
                flat[name] = self.of(float, number, f"limits.{name}", low=0)
                check_limit(name)
        return flat


EXECUTORS = ("local", "ray")
_EXECUTOR_KEYS = (*("kind", "address", "code", "workers", "time_limit", "memory_limit", "isolate"),)
_KEYS = (
    *("scene", "seed", "only", "skip", "alpha", "budget", "deployed", "replicates"),
    *("attacks", "games", "scenes", "defenses", "chains", "loop", "limits", "looks"),
    *("executor", "model", "data"),
)
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


def _kind(value: Any) -> str:
    names: dict[type, str] = {**_KINDS, dict: "a table", list: "a list"}
    return names.get(type(value), "a date")


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        # JSON leaves two kinds as they are that TOML has no place for.
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        return text.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return json.dumps(value)
    return repr(value)


def _loop(order: LoopOrder) -> list[str]:
    rows = ["", "[loop]", f"start = {order.start!r}", f"doses = {_toml(order.doses)}"]
    rows += [f"rounds = {order.rounds}", f"clusters = {order.clusters}"]
    kinds = [*(("legs", leg) for leg in order.legs), *(("chords", leg) for leg in order.chords)]
    for kind, leg in kinds:
        rows += ["", f"[[loop.{kind}]]", f"from = {_toml(leg.source)}", f"to = {_toml(leg.target)}"]
        rows += [f"attack = {_toml(leg.attack)}"]
        tables = {name: value for name in ("params", "game") if (value := getattr(leg, name))}
        for name, table in tables.items():
            rows += [f"[loop.{kind}.{name}]"]
            rows += [f"{_toml(key)} = {_toml(value)}" for key, value in sorted(table.items())]
    return rows


def _tables(kind: str, tables: Table) -> list[str]:
    rows = []
    for name, params in sorted(tables.items()):
        rows += ["", f"[{kind}.{_toml(name)}]"]
        rows += [f"{_toml(key)} = {_toml(value)}" for key, value in sorted(params.items())]
    return rows
