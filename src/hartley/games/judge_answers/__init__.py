"""Judging of answers: which planted secret an answer gives away. It knows no game."""

from hartley.games.judge_answers.judge import NOTHING, UNJUDGED, Judge, Verdict, checked, decode

__all__ = ["NOTHING", "UNJUDGED", "Judge", "Verdict", "checked", "decode"]
