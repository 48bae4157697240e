"""``hartley attack NAME``: one attack on a scene, its own parameters as flags."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from hartley import catalog
from hartley.cli.own_model import GROUP, chosen_scene
from hartley.cli.own_model import flags as own_model_flags
from hartley.cli.progress import lines_of_training
from hartley.cli.set_option import settings
from hartley.cli.terminal import (
    above_zero,
    exit_code,
    note,
    print_channels,
    print_json,
    say,
    whole,
)
from hartley.core import Attack
from hartley.core import Parameter as Declared
from hartley.core.errors import UsageError

# The flags depend on the attack, so help is left to the application that is made for it.
app = App(name="attack", help_flags=(), version_flags=())

_USAGE = "usage: hartley attack NAME --scene NAME [--its-own-parameters …] [--json]"
"""A model of the user's own takes the place of ``--scene``."""


@app.default
def attack(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
) -> int:
    """Play one attack on a scene and measure it."""
    if not tokens or tokens[0] in {"-h", "--help"}:
        names = [e.name for e in catalog.entries("attack") if e.kind == "attack"]
        say(_USAGE, "", f"attacks: {', '.join(names)}")
        say("", "hartley attack NAME --help shows the parameters of one.")
        return 0
    name, *rest = tokens
    if name.startswith("-"):
        raise UsageError(f"the first argument must be the name of an attack, got {name}; {_USAGE}")
    code = _application(name)(
        rest, exit_on_error=False, print_error=False, result_action="return_value"
    )
    return code if isinstance(code, int) else 0


def _application(name: str) -> App:
    """The command line of one attack, from its declaration and its game's."""
    part: Attack = catalog.load("attack", name)
    attack_group = Group("Parameters of the attack")
    game_group = Group("Parameters of the game")
    own_flags = {
        *("scene", "set", "seed", "budget", "alpha", "isolate", "time_limit", "memory_limit"),
        "json",
    }
    flags = {(f"attack_{p.name}" if p.name in own_flags else p.name): p for p in part.parameters}
    game_flags = {
        f"game_{p.name}": p for p in part.game.parameters if p.name not in part.game_params
    }
    about_model = own_model_flags(taken={*own_flags, *flags, *game_flags})
    inner = App(
        name=f"hartley attack {name}",
        help=part.summary,
        help_format="plaintext",
        version_flags=(),
        suppress_keyboard_interrupt=False,
    )

    def run(**given: Any) -> int:
        params = {flags[k].name: v for k, v in given.items() if k in flags}
        rules = {game_flags[k].name: v for k, v in given.items() if k in game_flags}
        recipe_settings = {k: v for k, v in given.items() if k in own_flags}
        of_model = {k: v for k, v in given.items() if k in about_model and v != about_model[k][1]}
        scene, params_of_model = chosen_scene(recipe_settings.pop("scene", None), of_model)
        note(f"{part.name} on {of_model.get('model', scene)}")
        recipe_settings["scene"] = scene
        recipe_settings["scene_params"] = settings(recipe_settings.pop("set", []))
        _check_set(part, recipe_settings, {**flags, **game_flags})
        recipe_settings["scene_params"] |= params_of_model
        return _play(part, params, rules, **recipe_settings)

    signature = inspect.Signature(
        [
            _flag(
                "scene",
                str | None,
                None,
                "The scene to attack; live:GAME leaks everything, dead:GAME nothing.",
            ),
            _flag("set", list[str], [], "A parameter of the scene, NAME=VALUE; may be repeated."),
            _flag("seed", int, 0, "Seed of every random choice."),
            _flag("budget", int | None, None, "Queries that the attack may ask."),
            _flag("alpha", float, 0.05, "Error level of the certified bound."),
            _flag(
                "isolate",
                bool,
                False,
                "Play in a process of its own, which never holds the truth; plugins always do.",
            ),
            _flag("time_limit", float | None, None, "Seconds that it may take. Default: 6 hours."),
            _flag(
                "memory_limit",
                float | None,
                None,
                "GiB of memory that it may hold. Default: 80 % of the machine's memory.",
            ),
            _flag("json", bool, False, "Print the channel as one JSON document."),
            *(
                _flag(flag, kind, default, text, GROUP)
                for flag, (kind, default, text) in about_model.items()
            ),
            *_flags(flags.items(), attack_group),
            *_flags(game_flags.items(), game_group),
        ]
    )
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    run.__doc__ = part.summary
    inner.default(run)
    return inner


def _check_set(part: Attack, given: Mapping[str, Any], flags: Mapping[str, Declared]) -> None:
    """Refuse a parameter of the attack or of its game in ``--set``, and say its flag.

    Raises:
        UsageError: there is one that is not a parameter of the scene as well.
    """
    scenes = [entry for entry in catalog.entries("scene") if entry.name == given["scene"]]
    taken = catalog.load("scene", given["scene"]).parameters if scenes else ()
    for name in set(given["scene_params"]) - {parameter.name for parameter in taken}:
        bare = name.removeprefix(f"{part.game.name}.").removeprefix(f"{part.name}.")
        for flag, parameter in flags.items():
            if parameter.name == bare:
                raise UsageError(
                    f"--set takes parameters of the scene, got {name}; "
                    f"set it with --{flag.replace('_', '-')}"
                )


def _flags(pairs: Iterable[tuple[str, Declared]], group: Group) -> Iterable[inspect.Parameter]:
    for name, parameter in pairs:
        limits = f" [{parameter.limits}]" if parameter.limits else ""
        yield _flag(name, parameter.kind, parameter.default, parameter.help + limits, group)


def _flag(
    name: str, kind: Any, default: Any, text: str, group: Group | None = None
) -> inspect.Parameter:
    extra: dict[str, Any] = {} if group is None else {"group": group}
    if kind is bool and default is False and group is None:
        extra["negative"] = ""
    if kind in {int, int | None}:
        extra["converter"] = whole
    if kind == list[str]:
        extra |= {"consume_multiple": False, "negative": ""}
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, Parameter(help=text, **extra)],
    )


def _play(
    part: Attack,
    params: dict[str, Any],
    rules: dict[str, Any],
    *,
    scene: str,
    scene_params: dict[str, Any],
    seed: int = 0,
    budget: int | None = None,
    alpha: float = 0.05,
    isolate: bool = False,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    json: bool = False,
) -> int:
    from hartley.engine.run.executor import limits, prints_apart
    from hartley.engine.run.play_row import play_row

    if not 0 < alpha < 0.5:
        raise UsageError(f"--alpha must be between 0 and 0.5, got {alpha}")
    if seed < 0:
        raise UsageError(f"--seed must be at least 0, got {seed}")
    if budget is not None and budget < 1:
        raise UsageError(f"--budget must be at least 1, got {budget}")
    with prints_apart():
        row = play_row(
            part.name,
            scene,
            params=params,
            game_params=rules,
            scene_params=scene_params,
            seed=seed,
            budget=budget,
            alpha=alpha,
            isolate=isolate or None,
            limits=limits(
                above_zero("time-limit", time_limit), above_zero("memory-limit", memory_limit)
            ),
            on_news=lines_of_training(),
        )
    if json:
        print_json(row)
    else:
        print_channels([row])
    return exit_code([row])
