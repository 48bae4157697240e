# ruff: noqa: E501 (rows of tables are one line each)
"""Ways through the plan: what is played, how often, how strongly, and behind what."""

from __future__ import annotations

from collections.abc import Callable

from ways_attempt import DEAD, LIVE, Attempt, way

LIMIT = "[limits]\nmembership = 0.05\n"
WIDE = "[limits]\nmembership = 1.0\n"
"""The most that leaks is a bit: whatever was played soundly is within this limit."""
ENOUGH = '[limits.least]\nattacks = ["loss_threshold"]\n'
HEAD = f'scene = "{LIVE}"\n'
ONE = f'{HEAD}only = ["loss_threshold"]\n'

PLANS: dict[str, tuple[str, str]] = {
    "the weakest attack alone": ("only a setting that reads nothing", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngamma = 1e9\n{LIMIT}'),
    "a weak setting beside the class": ("an attack on weak settings, the limit on it alone", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\nreferences = 2\ngamma = 1e9\n[limits]\n"attack:rmia" = 0.05\n'),
    "a sweep of weak settings": ("easy rows are added to each other", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngamma = [1e7, 1e8, 1e9]\n{LIMIT}'),
    "a weak setting and an empty least": ("[limits.least] states nothing", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngamma = 1e9\n{LIMIT}[limits.least]\n'),
    "what leaks is skipped": ("skip names it, least the other", f'{HEAD}only = ["loss_threshold", "rmia"]\nskip = ["loss_threshold"]\n[attacks.rmia]\ngamma = 1e9\n{LIMIT}[limits.least]\nattacks = ["rmia", "loss_threshold"]\n'),
    "a class is skipped whole": ("skip the class that is limited", f'{HEAD}only = ["rmia", "knockoff"]\nskip = ["membership"]\n{LIMIT}'),
    "only another class": ("only an attack that no limit is about", f'{HEAD}only = ["frequency"]\n{LIMIT}'),
    "only chains": ("only the chains of a plan that has none", f'{HEAD}only = ["chains"]\n{LIMIT}'),
    "a pattern that matches nothing": ("only = [zzz*]", f'{HEAD}only = ["zzz*"]\n{LIMIT}'),
    "an empty pattern": ("only = ['']", f'{HEAD}only = [""]\n{LIMIT}'),
    "skip everything": ("skip = [*]", f'{HEAD}skip = ["*"]\n{LIMIT}'),
    "alpha of nearly a half": ("wide intervals become narrow", f"alpha = 0.49\n{ONE}{WIDE}{ENOUGH}"),
    "alpha of zero": ("alpha = 0", f"alpha = 0\n{ONE}{LIMIT}"),
    "alpha of one": ("alpha = 1", f"alpha = 1.0\n{ONE}{LIMIT}"),
    "alpha of nan": ("alpha = nan", f"alpha = nan\n{ONE}{LIMIT}"),
    "a tiny alpha": ("so small that no lower bound is above", f"alpha = 1e-300\n{ONE}{LIMIT}"),
    "a budget of one query": ("the attack cannot ask", f"budget = 1\n{ONE}{LIMIT}"),
    "one round": ("one victim", f"{ONE}[games.membership]\nrounds = 1\n{LIMIT}{ENOUGH}"),
    "two rounds": ("two victims", f"{ONE}[games.membership]\nrounds = 2\n{LIMIT}{ENOUGH}"),
    "rounds below nothing": ("rounds = -1", f"{ONE}[games.membership]\nrounds = -1\n{LIMIT}"),
    "one target": ("one record of each victim", f"{ONE}[games.membership]\ntargets = 1\nrounds = 2\n{LIMIT}{ENOUGH}"),
    "records in large groups": ("one coin for many records", f"{ONE}[games.membership]\ngroup = 64\n{WIDE}{ENOUGH}"),
    "records with wrong labels": ("all records are mislabelled", f"{HEAD}only = [\"rmia\"]\n[attacks.rmia]\ngamma = 1e9\n[games.membership]\nmislabelled = 1.0\n{LIMIT}[limits.least]\nattacks = [\"rmia\"]\n"),
    "a game's setting as an attack's": ("rounds under the attack", f"{ONE}[attacks.loss_threshold]\nrounds = 1\n{LIMIT}"),
    "a setting out of its range": ("references = 0", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\nreferences = 0\n{LIMIT}'),
    "a setting of another type": ("references = '64'", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\nreferences = "64"\n{LIMIT}'),
    "an empty sweep": ("a list of no values plays no row", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngamma = []\n{LIMIT}'),
    "a misspelt setting": ("gama = 1e9", f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngama = 1e9\n{LIMIT}'),
    "a table for an attack that is not played": ("settings of what is skipped", f'{ONE}[attacks.lira]\nreferences = 2\n{LIMIT}'),
    "a defense in use": ("rows behind a defense are quiet, the baseline is not", f'{ONE}[defenses]\nuse = ["label_only"]\n{LIMIT}{ENOUGH}'),
    "a defense in use with --no-defenses": ("the same, and defenses are left out", f'{ONE}[defenses]\nuse = ["label_only"]\nadaptive = false\n{LIMIT}{ENOUGH}'),
    "a defense named baseline": ("use = [baseline]", f'{ONE}[defenses]\nuse = ["baseline"]\n{LIMIT}'),
    "a defense named none": ("deployed = [none]", f'deployed = ["none"]\n{ONE}{LIMIT}'),
    "a deployed defense that does not bite": ("rounding to many digits", f'deployed = ["rounding"]\n{ONE}[defenses.rounding]\ndigits = 15\n{LIMIT}{ENOUGH}'),
    "a deployed defense in a text": ("deployed = rounding(digits=0)", f'deployed = ["rounding(digits=0)"]\n{ONE}{LIMIT}'),
    "a deployed defense of another game": ("a defense that does not cover membership", f'deployed = ["aes_gcm"]\n{ONE}{LIMIT}{ENOUGH}'),
    "a defense deployed and in use": ("one defense twice", f'deployed = ["rounding"]\n{ONE}[defenses]\nuse = ["rounding"]\n{LIMIT}{ENOUGH}'),
    "no replicates": ("replicates = 0", f"replicates = 0\n{ONE}{LIMIT}"),
    "replicates as a truth": ("replicates = true", f"replicates = true\n{ONE}{LIMIT}"),
    "ten thousand replicates": ("more rows than a plan may have", f"replicates = 100000\n{ONE}{LIMIT}"),
    "a seed below nothing": ("seed = -1", f"seed = -1\n{ONE}{LIMIT}"),
    "a seed of many digits": ("seed = 10^300", f"seed = {10**300}\n{ONE}{LIMIT}"),
    "no scene": ("the plan names none", f'only = ["loss_threshold"]\n{LIMIT}'),
    "a scene of another game": ("live:watermark, where membership cannot be played", f'scene = "live:watermark"\n{LIMIT}'),
    "a scene without victims": ("live:decryption with an attack on membership", f'scene = "live:decryption"\nonly = ["loss_threshold"]\n{LIMIT}'),
    "settings of a live scene": ("a live scene takes no settings", f"{ONE}[scenes.\"{LIVE}\"]\nepochs = 0\n{LIMIT}"),
    "settings of another scene": ("[scenes.digits] beside a live scene", f"{ONE}[scenes.digits]\nepochs = 0\n{LIMIT}{ENOUGH}"),
    "a time limit that no job keeps": ("every row fails", f"{ONE}[executor]\ntime_limit = 1e-9\n{LIMIT}{ENOUGH}"),
    "a memory limit of nothing": ("memory_limit = 0", f"{ONE}[executor]\nmemory_limit = 0\n{LIMIT}"),
    "a chain of one attack": ("a chain must have a second", f'{HEAD}only = ["chains"]\n[[chains]]\nattacks = ["loss_threshold"]\n{LIMIT}'),
    "a chain that does not fit": ("loot that the next scene does not accept", f'{HEAD}only = ["chains"]\n[[chains]]\nattacks = ["loss_threshold", "frequency"]\n{LIMIT}'),
    "an unknown executor": ("executor.kind = none", f'{ONE}[executor]\nkind = "none"\n{LIMIT}'),
    "a key in capitals": ("ONLY = [...] is not only", f'{HEAD}ONLY = ["frequency"]\n{LIMIT}'),
    "limits are stated twice": ("two tables of limits", f"{ONE}{LIMIT}{WIDE}"),
    "a plan of nothing": ("an empty file", ""),
}  # fmt: skip


def _played(text: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        codes = [a.assess(text)]
        if (a.home / "runs/mine/run.json").exists():
            # The same again judges what is stored; the gate reads the plan as a file of limits.
            codes += [a.assess(text), a.call("gate", "mine", "--limits", "plan.toml")]
        return codes

    return run


for _name, (_tries, _text) in PLANS.items():
    way("plan", _tries, name=f"plan: {_name}")(_played(_text))

LEAK = f"{ONE}{LIMIT}{ENOUGH}"


@way("plan", "twelve seeds are tried until one passes")
def seeds_until_one_passes(a: Attempt) -> list[int]:
    return [a.assess(LEAK, "--seed", str(seed), run=f"seed{seed}") for seed in range(1, 13)]


@way("plan", "one run is repeated with --fresh, and the gate asks for the latest")
def fresh_until_one_passes(a: Attempt) -> list[int]:
    codes = [a.assess(LEAK, "--fresh") for _ in range(3)]
    return [*codes, a.gate("latest")]


@way("plan", "twenty rounds are drawn by twenty plans of one round, until one is silent")
def one_round_at_a_time(a: Attempt) -> list[int]:
    plan = f"{ONE}[games.membership]\nrounds = 1\ntargets = 4\n{LIMIT}{ENOUGH}"
    return [a.assess(plan, "--seed", str(seed), run=f"seed{seed}") for seed in range(20)]


@way("plan", "the run of the silent scene is continued with the plan of the other")
def another_plan_under_one_name(a: Attempt) -> list[int]:
    return [a.assess(LEAK, run="silent"), a.gate("latest")]


@way("plan", "the run that leaks is continued with a plan that leaves the leak out")
def a_smaller_plan_under_one_name(a: Attempt) -> list[int]:
    smaller = f'{HEAD}only = ["rmia"]\n[attacks.rmia]\ngamma = 1e9\n{LIMIT}[limits.least]\n'
    codes = [a.assess(smaller + 'attacks = ["rmia"]\ngamma = 1e9\n', run="base")]
    return [*codes, a.gate("base"), a.gate("latest")]


@way("plan", "a plan that could not be read, then the gate asks for the latest")
def gate_after_a_refused_plan(a: Attempt) -> list[int]:
    return [a.assess("scene = \n"), a.gate("latest")]


@way("plan", "--only and --skip on the command line take the leak away")
def flags_take_the_leak_away(a: Attempt) -> list[int]:
    plan = f'{HEAD}only = ["loss_threshold", "rmia"]\n[attacks.rmia]\ngamma = 1e9\n{LIMIT}'
    codes = [a.assess(plan, "--only", "rmia"), a.assess(plan, "--skip", "loss*", run="m2")]
    return [*codes, a.assess(plan, "--only", "axis:data_to_data", run="m3")]


@way("plan", "--scene on the command line takes another scene than the plan's limits are about")
def another_scene_by_a_flag(a: Attempt) -> list[int]:
    codes = [a.assess(LEAK, run="leak")]
    a.call("assess", "plan.toml", "--scene", DEAD, "--workers", "0", "--run", "dead")
    return [*codes, a.call("gate", "dead", "--limits", "plan.toml"), a.gate("leak")]


@way("plan", "--set gives a live scene settings, or a setting twice")
def settings_by_a_flag(a: Attempt) -> list[int]:
    codes = [a.assess(LEAK, "--set", text) for text in ("epochs=0", "=", "epochs", "a=1,b=2")]
    return [*codes, a.assess(LEAK, "--set", "epochs=0", "--set", "epochs=40")]


@way("plan", "workers below nothing, none, or more than there may be")
def odd_workers(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    return [a.call("assess", "plan.toml", "--workers", n) for n in ("-1", "1e3", "99999", "nan")]


@way("plan", "an executor that does not play")
def another_executor(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    return [a.call("assess", "plan.toml", "--executor", name) for name in ("none", "", "Local")]


@way("plan", "a run of an odd name")
def odd_names_of_new_runs(a: Attempt) -> list[int]:
    names = ("latest", ".", "..", "../x", "a/b", "", "-", "a\nb", "x" * 300, "\u202e", ".hidden")
    return [a.assess(LEAK, run=name) for name in names]


@way("plan", "a plan that ships, under the name of a folder in the current one")
def a_folder_named_like_a_plan(a: Attempt) -> list[int]:
    (a.home / "demo.toml").mkdir()
    return [a.call("assess", "demo.toml"), a.call("assess", "runs"), a.call("assess", "silent")]


@way("plan", "stored trials are measured again at another plan's limits")
def measured_again_with_flags(a: Attempt) -> list[int]:
    a.write("plan.toml", f"{ONE}{WIDE}")
    codes = [a.call("assess", "plan.toml", "--remeasure", "base")]
    return [*codes, a.call("assess", "--remeasure", "base", "--scene", DEAD)]


@way("plan", "the plan is changed while its run is complete: limits alone")
def limits_change_between_runs(a: Attempt) -> list[int]:
    wide = a.assess(f"{ONE}{WIDE}{ENOUGH}")
    again = a.assess(LEAK)
    return [again] if wide == 0 else [99]


@way("plan", "of two attacks one cannot be played here, and least names both")
def an_attack_that_the_scene_cannot_carry(a: Attempt) -> int:
    least = '[limits.least]\nattacks = ["loss_threshold", "min_k"]\n'
    return a.assess(f'{HEAD}only = ["loss_threshold", "min_k"]\n{WIDE}{least}')


@way("plan", "`attack` and `chain` with a limit, which they do not judge")
def verbs_that_do_not_judge(a: Attempt) -> list[int]:
    a.write("plan.toml", LEAK)
    return [
        a.call("attack", "loss_threshold", "--scene", LIVE, "--limits", "limits.toml"),
        a.call("chain", "loss_threshold", "--scene", LIVE, "--limits", "limits.toml"),
        a.call("plan", "plan.toml"),
    ]


@way(
    "plan",
    "a defense that leaves nothing is deployed, and the owner does not run it",
    not_held="what is deployed is the owner's word; the verdict names it",
)
def a_defense_that_is_not_deployed(a: Attempt) -> int:
    plan = f'deployed = ["embedding_noise", "label_only"]\n{ONE}{LIMIT}{ENOUGH}'
    codes = [a.assess(plan)]
    silent = f'scene = "{DEAD}"\nonly = ["loss_threshold"]\ndeployed = ["label_only"]\n'
    return min(*codes, a.assess(f"{silent}{LIMIT}{ENOUGH}", run="m2"))


@way(
    "plan",
    "another scene is audited than the one that is used",
    not_held="which system is audited is the owner's word; limits may name the scene",
)
def a_scene_that_is_not_used(a: Attempt) -> int:
    return a.gate("silent")
