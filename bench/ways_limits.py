# ruff: noqa: E501 (rows of tables are one line each)
"""Ways through the limits file: what it says, how it says it, and what it says that nobody reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ways_attempt import LEAST, LIMITS, Attempt, way

HEAD = "[limits]\nmembership = 0.05\n"
WEAK = '"attack:rmia.blind_auc" = 0.9\n'
"""A limit that the base run is within: it keeps a file from being empty."""

FILES: dict[str, tuple[str, str | bytes]] = {
    "a name with a letter missing": ("a class that does not exist", f"[limits]\nmembershp = 0.05\n{LEAST}"),
    "a name in capitals": ("MEMBERSHIP beside a limit that holds", f"[limits]\nMEMBERSHIP = 0.05\n{WEAK}{LEAST}"),
    "a name with a space": ("a space behind the name", f'[limits]\n"membership " = 0.05\n{WEAK}{LEAST}'),
    "a name in other letters": ("a Cyrillic letter in the name", f'[limits]\n"m\u0435mbership" = 0.05\n{WEAK}{LEAST}'),
    "a name with a zero-width space": ("an invisible letter", f'[limits]\n"member\u200bship" = 0.05\n{WEAK}{LEAST}'),
    "an empty name": ("a limit on nothing", f'[limits]\n"" = 0.05\n{WEAK}{LEAST}'),
    "a wrong axis": ("the axis is spelt with a hyphen", f'[limits]\n"axis:model-to-data" = 0.05\n{WEAK}{LEAST}'),
    "another axis": ("an axis on which nothing was played", f'[limits]\n"axis:data_to_model" = 0.05\n{WEAK}{LEAST}'),
    "axis without a name": ("axis: and nothing behind it", f'[limits]\n"axis:" = 0.05\n{WEAK}{LEAST}'),
    "a kind that is not there": ("attacks: instead of attack:", f'[limits]\n"attacks:rmia" = 0.05\n{WEAK}{LEAST}'),
    "a class as an attack": ("attack: before a class", f'[limits]\n"attack:membership" = 0.05\n{WEAK}{LEAST}'),
    "an attack as a class": ("class: before an attack", f'[limits]\n"class:rmia" = 0.05\n{WEAK}{LEAST}'),
    "a pattern": ("member* as a limit", f'[limits]\n"member*" = 0.05\n{WEAK}{LEAST}'),
    "two kinds": ("attack:class:membership", f'[limits]\n"attack:class:membership" = 0.05\n{WEAK}{LEAST}'),
    "a class that nothing measures": ("a limit on watermark alone", f"[limits]\nwatermark = 0.05\n{LEAST}"),
    "a class that nothing measures beside one that holds": ("watermark, and a wide limit", f"[limits]\nwatermark = 0.05\n{WEAK}{LEAST}"),
    "an attack that was not played": ("attack:lira, which the plan left out", f'[limits]\n"attack:lira" = 0.05\n{WEAK}{LEAST}'),
    "a game of another class": ("link_inference, which was not played", f"[limits]\nlink_inference = 0.05\n{WEAK}{LEAST}"),
    "infinity": ("a limit of inf", f"[limits]\nmembership = inf\n{LEAST}"),
    "not a number": ("a limit of nan", f"[limits]\nmembership = nan\n{LEAST}"),
    "minus nan": ("a limit of -nan", f"[limits]\nmembership = -nan\n{LEAST}"),
    "true": ("a limit of true, which is 1", f"[limits]\nmembership = true\n{LEAST}"),
    "a text": ('a limit of "1"', f'[limits]\nmembership = "1"\n{LEAST}'),
    "negative": ("a limit below 0, which nothing reaches", f"[limits]\nmembership = -1.0\n{LEAST}"),
    "a list": ("a list of limits", f"[limits]\nmembership = [1.0, 0.05]\n{LEAST}"),
    "a date": ("a date as a limit", f"[limits]\nmembership = 2026-11-29\n{LEAST}"),
    "1e400": ("a limit that overflows", f"[limits]\nmembership = 1e400\n{LEAST}"),
    "four hundred digits": ("a whole number that no float holds", f"[limits]\nmembership = {'9' * 400}\n{LEAST}"),
    "zero": ("a limit of 0", f"[limits]\nmembership = 0\n{LEAST}"),
    "minus zero": ("a limit of -0.0", f"[limits]\nmembership = -0.0\n{LEAST}"),
    "hexadecimal": ("a limit of 0x1, read as 1 by some", f"[limits]\nmembership = 0x0\n{LEAST}"),
    "an empty table": ("[limits] without a line", "[limits]\n"),
    "an empty file": ("nothing at all", ""),
    "comments alone": ("every limit is behind a #", "# [limits]\n# membership = 0.05\n"),
    "strict alone": ("only strict, no limit", "[limits]\nstrict = true\n"),
    "least alone": ("only what must be played, no limit", f"[limits]\n{LEAST}"),
    "an empty table of a class": ("[limits.membership] without a line beside one that holds", f"[limits]\n{WEAK}[limits.membership]\n{LEAST}"),
    "an empty inline table": ("membership = {{}} beside one that holds", f"[limits]\nmembership = {{}}\n{WEAK}{LEAST}"),
    "limits under another table": ("[plan.limits]", "[plan.limits]\nmembership = 0.05\n"),
    "limit in the singular": ("[limit]", "[limit]\nmembership = 0.05\n"),
    "Limits in capitals": ("[LIMITS]", "[LIMITS]\nmembership = 0.05\n"),
    "an array of tables": ("[[limits]] twice, the last one empty", "[[limits]]\nmembership = 0.05\n[[limits]]\n"),
    "without a table": ("the limit stands at the top", "membership = 0.05\n"),
    "table twice": ("[limits] twice, the second wide", f"{HEAD}[limits]\nmembership = 9\n"),
    "key twice": ("one key twice, the second wide", f"{HEAD}membership = 9\n{LEAST}"),
    "a quoted key twice": ('"membership" beside membership', f'{HEAD}"membership" = 9\n{LEAST}'),
    "a dotted key twice": ("limits.membership at the top, and in its table", f"limits.membership = 9\n{HEAD}"),
    "a metric twice": ('"membership.auc" and [limits.membership] auc', f'[limits]\n"membership.auc" = 0.6\n[limits.membership]\nauc = 1.0\n{LEAST}'),
    "a table over a limit": ("membership = 0.05, then [limits.membership]", f"{HEAD}[limits.membership]\nauc = 1.0\n{LEAST}"),
    "a metric in capitals": ("membership.AUC", f'[limits]\n"membership.AUC" = 0.6\n{LEAST}'),
    "a metric that is not there": ("membership.leak", f'[limits]\n"membership.leak" = 0.05\n{LEAST}'),
    "a metric of a metric": ("membership.auc.value", f'[limits]\n"membership.auc.value" = 0.6\n{LEAST}'),
    "an empty metric": ("membership. and nothing behind the dot", f'[limits]\n"membership." = 0.6\n{WEAK}{LEAST}'),
    "a metric of another class": ("a metric that no row of the class has", f'[limits]\n"membership.exposure" = 5.0\n{LEAST}'),
    "a metric that an attack lacks": ("of two rows only one has it", f'[limits]\n"membership.queries" = 5.0\n{LEAST}'),
    "strict as a text": ('strict = "false"', f'[limits]\nstrict = "false"\nmembership = 0.05\n{LEAST}'),
    "strict as a number": ("strict = 0", f"[limits]\nstrict = 0\nmembership = 0.05\n{LEAST}"),
    "strict misspelt": ("stric = true", f"[limits]\nstric = true\n{WEAK}{LEAST}"),
    "strict capital": ("Strict = true", f"[limits]\nStrict = true\n{WEAK}{LEAST}"),
    "a limit for another scene": ("the file names the silent scene", f'scene = "dead:membership"\n{LIMITS}'),
    "a scene that is not there": ("the file names an unknown scene", f'scene = "digit"\n{LIMITS}'),
    "a scene as a list": ("the file names two scenes", f'scene = ["live:membership"]\n{LIMITS}'),
    "a mark of bytes": ("a byte order mark, then the limit", b"\xef\xbb\xbf" + LIMITS.encode()),
    "UTF-16": ("the file in another encoding", LIMITS.encode("utf-16")),
    "Latin-1": ("a comment that is not UTF-8", b"# \xe9\n" + LIMITS.encode()),
    "NUL": ("a NUL before the limit", b"[limits]\n\0membership = 0.05\n"),
    "carriage returns": ("lines end in CR alone", LIMITS.replace("\n", "\r").encode()),
    "a form feed": ("white space that is none of TOML's", "[limits]\n\x0cmembership = 0.05\n"),
    "an unknown table beside": ("[gate] accept = true", f"{LIMITS}[gate]\naccept = true\n"),
    "alpha in the file": ("alpha = 0.49 beside the limits", f"alpha = 0.49\n{LIMITS}"),
    "alpha above a half": ("alpha = 0.99", f"alpha = 0.99\n{LIMITS}"),
    "skip in the file": ("the limits file is a plan that skips what leaks", f'skip = ["loss_threshold"]\n{LIMITS}'),
    "deployed in the file": ("the limits file deploys a defense that was not played", f'deployed = ["rounding"]\n{LIMITS}'),
    "an included file": ('include = "wide.toml"', f'include = "wide.toml"\n{LIMITS}'),
    "a deep key": ("a hundred dotted parts", f"[limits]\n{'.'.join(['membership'] * 100)} = 1\n"),
    "a metric by an inline table": ("membership = {auc = 1.0} alone: only the metric is limited", f"[limits]\nmembership = {{auc = 0.6}}\n{LEAST}"),
    # what must have been played
    "least without attacks": ("attacks = []", f"{HEAD}[limits.least]\nattacks = []\n"),
    "least with an attack of another class": ("attacks = [badnets]", f'{HEAD}{WEAK}[limits.least]\nattacks = ["badnets"]\n'),
    "least with an attack that is not there": ("attacks = [rmia2]", f'{HEAD}[limits.least]\nattacks = ["rmia2"]\n'),
    "least with an attack that was not played": ("attacks = [lira]", '[limits]\nmembership = 1.0\n[limits.least]\nattacks = ["lira"]\n'),
    "least with a text": ('attacks = "rmia"', f'{HEAD}[limits.least]\nattacks = "rmia"\n'),
    "least with a loose alpha": ("alpha = 0.5", f"{HEAD}[limits.least]\nalpha = 0.5\n"),
    "least with no alpha": ("alpha = 0", f"{HEAD}[limits.least]\nalpha = 0\n"),
    "least alpha of true": ("alpha = true", f"{HEAD}[limits.least]\nalpha = true\n"),
    "least alpha of nan": ("alpha = nan", f"{HEAD}[limits.least]\nalpha = nan\n"),
    "least uses of 0": ("uses = 0", f"{HEAD}[limits.least]\nuses = 0\n"),
    "least uses of infinity": ("uses = inf", f"{HEAD}[limits.least]\nuses = inf\n"),
    "least uses as a text": ('uses = "1"', f'{HEAD}[limits.least]\nuses = "1"\n'),
    "least budget of 0": ("budget = 0", f"{HEAD}[limits.least]\nbudget = 0\n"),
    "least of a misspelt setting": ("gama = 1e9", f"{HEAD}[limits.least]\ngama = 1e9\n"),
    "least of a setting out of range": ("gamma = -1", f"{HEAD}[limits.least]\ngamma = -1\n"),
    "least of an unknown part": ("[limits.least.rmi]", f"{HEAD}[limits.least.rmi]\ngamma = 1e9\n"),
    "least of a defense": ("[limits.least.rounding]", f"{HEAD}[limits.least.rounding]\ndigits = 1\n"),
    "least of an empty part": ("[limits.least.rmia] without a line", "[limits]\nmembership = 1.0\n[limits.least]\nattacks = [\"rmia\", \"lira\"]\n[limits.least.rmia]\n"),
    "least at the top": ("[least] instead of [limits.least]", "[limits]\nmembership = 1.0\n[least]\nattacks = [\"rmia\"]\n"),
    "least as a list": ("least = [rmia]", '[limits]\nmembership = 1.0\nleast = ["rmia"]\n'),
    "least as a number": ("least = 0", "[limits]\nmembership = 1.0\nleast = 0\n"),
    "least twice": ("[limits.least] twice, the second empty", f"{LIMITS}[limits.least]\nattacks = []\n"),
    "least demands more than was played": ("rounds = 10000", f"[limits]\nmembership = 1.0\n{LEAST}rounds = 10000\n"),
    "least demands more uses": ("uses = 1000000", f"[limits]\nmembership = 1.0\n{LEAST}uses = 1000000\n"),
    "least demands a smaller alpha": ("alpha = 0.001", f"[limits]\nmembership = 1.0\n{LEAST}alpha = 0.001\n"),
    "least demands more reference models": ("references = 512", f"[limits]\nmembership = 1.0\n{LEAST}references = 512\n"),
    "least names a silent attack, the limit all": ("only what was silent is enough; what leaks was played too", LIMITS),
    "a game as an attack of least": ("attacks = [membership]", f'{HEAD}[limits.least]\nattacks = ["membership"]\n'),
    "without least": ("nothing is stated, and 8 attacks were left out", "[limits]\nmembership = 1.0\n"),
    "a limit on an attack whose setting is weak": ("attack:rmia with gamma of 1e9 beside the shipped", '[limits]\n"attack:rmia" = 0.05\n'),
}  # fmt: skip


def _judged(text: str | bytes) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.write("limits.toml", text)
        return [a.gate(), a.gate("latest", "--json")]

    return run


for _name, (_tries, _text) in FILES.items():
    way("limits", _tries, name=f"limits: {_name}")(_judged(_text))


@way("limits", "two --limits, the second wide")
def two_files(a: Attempt) -> int:
    a.write("wide.toml", f"[limits]\nmembership = 1.0\n{LEAST}")
    return a.call("gate", "base", "--limits", "limits.toml", "--limits", "wide.toml")


@way("limits", "no --limits, where the run holds wide limits of its own")
def no_file(a: Attempt) -> int:
    return a.call("gate", "base")


@way("limits", "an empty name of the file")
def a_file_without_a_name(a: Attempt) -> int:
    return a.call("gate", "base", "--limits", "")


@way("limits", "a folder, a device or a pipe as the file")
def no_regular_file(a: Attempt) -> list[int]:
    import os

    os.mkfifo(a.home / "pipe.toml")
    (a.home / "folder.toml").mkdir()
    names = ("/dev/null", "/dev/zero", "pipe.toml", "folder.toml", "/dev/stdin")
    return [a.call("gate", "base", "--limits", name) for name in names]


@way("limits", "--store of another folder, where base is silent")
def another_store(a: Attempt) -> int:
    shutil.copytree(a.silent, a.home / "other/base")
    return a.call("gate", "base", "--limits", "limits.toml", "--store", "other")


@way("limits", "assess with limits that only the command line of another verb takes")
def limits_for_assess(a: Attempt) -> int:
    return a.call("assess", "--scene", "live:membership", "--limits", "limits.toml")


@way("limits", "the verdict is asked of `measure` and `show`, which do not judge")
def another_verb(a: Attempt) -> list[int]:
    # `report --limits` draws the verdict and answers 0 whatever it is, as its page says.
    return [a.call(verb, "base", "--limits", "limits.toml") for verb in ("measure", "show")]


@way("limits", "flags that are not there: --pass, --no-limits, --force, --strict=false")
def flags_that_are_not_there(a: Attempt) -> list[int]:
    flags = (
        "--pass",
        "--no-limits",
        "--force",
        "--no-accept-unverified",
        "--strict=false",
        "--help=no",
    )
    return [a.gate("base", flag) for flag in flags]


@way("limits", "a run named after a flag or a number of runs")
def odd_names_of_runs(a: Attempt) -> list[int]:
    names = (
        "--",
        "",
        " ",
        "base,silent",
        "base silent",
        "-1",
        "*",
        "runs/*",
        "silent/",
        "\u202ebase",
    )
    codes = [a.gate(name) for name in names if name != "silent/"]
    return [*codes, a.call("gate", "base", "silent", "--limits", "limits.toml")]


@way(
    "limits",
    "a limit that is larger than what leaks",
    not_held="the limit is the owner's: the verdict says that it can never be broken",
)
def a_wide_limit(a: Attempt) -> int:
    return a.gate(limits=f"[limits]\nmembership = 1e308\n{LEAST}")


@way(
    "limits",
    "a limit on a metric alone, which what leaks is within",
    not_held="the limit is the owner's: nothing was said about bits",
)
def a_metric_alone(a: Attempt) -> int:
    return a.gate(limits=f"[limits]\n{WEAK}{LEAST}")


@way(
    "limits",
    "[limits.least] says that one silent attack is enough, and the plan leaves the others out",
    not_held="what is enough is the owner's, and the verdict names what was left out",
)
def little_is_enough(a: Attempt) -> int:
    least = '[limits.least]\nattacks = ["rmia"]\ngamma = 1e9\n'
    plan = 'scene = "live:membership"\nonly = ["rmia"]\n[attacks.rmia]\ngamma = 1e9\n'
    return a.assess(f"{plan}[limits]\nmembership = 0.05\n{least}")
