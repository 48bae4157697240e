"""Judging of answers: which planted secret an answer gives away. It knows no game."""

from hartley.games.judge_answers.judge import NOTHING, UNJUDGED, Judge, Verdict, checked, decode
from hartley.games.judge_answers.judge_errors import JudgeErrors
from hartley.games.judge_answers.refusals import refused

__all__ = [
    "NOTHING",
    "UNJUDGED",
    "Judge",
    "JudgeErrors",
    "Verdict",
    "checked",
    "decode",
    "refused",
]
