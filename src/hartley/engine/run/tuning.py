"""Choose an attack's settings against a defense, on rounds that are dealt for it and not measured.

An adaptive attacker tries what the attack declares in ``sweep``. They meet fresh victims with fresh
secrets behind the same defenses, play the usual setting and each declared one, and keep what reads
the most bits there. The secrets that are measured are drawn independently of these, so the choice
is as good as one made beforehand: the bounds of the measured row need no correction. A game whose
victim withholds the same secrets in every deal has a parameter ``reserved``: then those of the
tuning rounds are others than the measured ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from hartley.core import Attack, Deal, Knowledge, Scene, spawn
from hartley.core.errors import WroteIntoView
from hartley.engine.run.attack_process import AttackFailed, Isolation
from hartley.engine.run.play import play_rounds

SHARE = 4
"""One round in this many is played again for tuning."""

FEWEST_USES = 32
"""Uses below which more rounds are dealt, up to half as many as are measured."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What an attack is played with, and how that was chosen.

    Attributes:
        params: all its parameters.
        record: plain values for the row. ``setting``: the swept parameters as they were chosen;
            ``bits``: what it read on the tuning rounds, None where no setting could be played;
            ``rounds`` and ``uses`` of the tuning rounds; ``queries`` and ``seconds`` of all tries,
            which are not part of the row's own; ``tried``: one record a setting, the usual one
            first, with ``reason`` where it could not be played.
    """

    params: dict[str, Any]
    record: dict[str, Any]


def tuning_seed(seed: int) -> int:
    """Return the seed of the tuning rounds of a run: of their secrets, victims and attackers."""
    return spawn(seed, "tuning")


def tuning_rounds(measured: Deal) -> int:
    """Return how many rounds are dealt for tuning, given the deal that is measured.

    A quarter as many. Where these hold fewer than 32 uses more are dealt, but no more than half as
    many as are measured, and never fewer than one.
    """
    count = len(measured.rounds)
    uses = sum(len(round_.truth) for round_ in measured.rounds) / count
    wanted = max(ceil(count / SHARE), ceil(FEWEST_USES / uses))
    return max(1, min(wanted, count // 2))


def tuning_params(attack: Attack, game_params: Mapping[str, Any], measured: Deal) -> dict[str, Any]:
    """Return the parameters of the game for tuning: those of the measured deal, with fewer rounds.

    A game without a parameter ``rounds`` is dealt as often as it is measured. One with a parameter
    ``reserved`` deals what it keeps for this.
    """
    declared = {parameter.name: parameter for parameter in attack.game.parameters}
    params = dict(game_params)
    if "reserved" in declared:
        params["reserved"] = True
    if "rounds" in declared:
        least = declared["rounds"].range
        params["rounds"] = max(int(least.low) if least else 1, tuning_rounds(measured))
    return params


def tuned(
    attack: Attack,
    scene: Scene,
    params: Mapping[str, Any],
    sweep: Sequence[Mapping[str, Any]],
    game_params: Mapping[str, Any],
    *,
    dealt: Deal,
    seed: int,
    budget: int | None,
    alpha: float,
    isolated: Isolation | None = None,
) -> Tuned:
    """Play every setting on the tuning rounds and return the one that reads the most bits.

    Ties go to the usual setting, then to the one declared first. A setting that fails is left out;
    where all of them fail the usual one is returned.

    Args:
        attack: what is tuned.
        scene: behind the defenses that the attacker knows.
        params: the usual setting: all parameters.
        sweep: the other settings; each gives the swept parameters by name.
        game_params: those that the tuning rounds were dealt with.
        dealt: the tuning rounds.
        seed: of the tuning rounds, from ``tuning_seed``.
        budget: queries that may be asked on these rounds, for each setting, or None.
        alpha: error level, which settles how trials are declared.
        isolated: the processes of attacks that do not play in this one.

    Raises:
        WroteIntoView: the attack changed what was dealt, so that nothing after it is sound.
    """
    from hartley.channel.measure import point_of
    from hartley.channel.trials.validate import measured_rows

    names = list(dict.fromkeys(name for setting in sweep for name in setting))
    default_setting = {name: params[name] for name in names}
    attempts: list[dict[str, Any]] = []
    for setting in (default_setting, *({**default_setting, **entry} for entry in sweep)):
        attempt: dict[str, Any] = {"setting": setting, "bits": None, "reason": None}
        attempts.append(attempt)
        try:
            trials = play_rounds(
                attack,
                scene,
                {**params, **setting},
                game_params,
                seed=seed,
                budget=budget,
                alpha=alpha,
                knowledge=Knowledge.ADAPTIVE,
                dealt=dealt,
                isolated=isolated,
            ).trials
            bits = point_of(measured_rows(trials))
        except WroteIntoView:
            raise
        except (Exception, SystemExit) as error:
            words = " ".join(str(error).split()) or "no message"
            failed = isinstance(error, AttackFailed)
            attempt["reason"] = words if failed else f"{type(error).__name__}: {words}"
            continue
        attempt |= {
            "bits": bits,
            "queries": trials.spec.uses or 0,
            "seconds": round(trials.spec.seconds or 0.0, 4),
        }
    measured = [entry for entry in attempts if entry["bits"] is not None]
    best = max(measured, key=lambda entry: entry["bits"], default=attempts[0])
    record = {
        "setting": best["setting"],
        "bits": best["bits"],
        "rounds": len(dealt.rounds),
        "uses": sum(len(round_.truth) for round_ in dealt.rounds),
        "queries": sum(entry["queries"] for entry in measured),
        "seconds": round(sum(entry["seconds"] for entry in measured), 4),
        "tried": attempts,
    }
    return Tuned({**params, **best["setting"]}, record)
