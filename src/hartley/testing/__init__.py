"""Public conformance checks: a plugin's whole test is ``check_attack(my_attack)``.

The checks run on the live and dead scenes that a game ships, in seconds, without torch.
``assert_bits`` holds a channel or a run against a limit, in a test of your own.
"""

from hartley.testing.attacks import ATTACK_CHECKS, check_attack
from hartley.testing.bits import assert_bits
from hartley.testing.checks import Check, CheckFailed, run_all
from hartley.testing.defenses import check_defense, defense_checks
from hartley.testing.games import check_game, game_checks
from hartley.testing.models import check_model
from hartley.testing.shared_plays import game_scene

__all__ = [
    "ATTACK_CHECKS",
    "Check",
    "CheckFailed",
    "assert_bits",
    "check_attack",
    "check_defense",
    "check_game",
    "check_model",
    "defense_checks",
    "game_checks",
    "game_scene",
    "run_all",
]
