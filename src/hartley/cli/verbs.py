"""What the command can do, in words: no library is needed for them."""

from __future__ import annotations

VERBS = {
    "list": "List attacks, defenses, games, scenes, plans, frameworks or runs.",
    "show": "Show one part, or one row of a run.",
    "assess": "Play every attack that fits a scene, measure each in bits, and judge the run.",
    "attack": "Play one attack on a scene; its own parameters are flags.",
    "chain": "Play attacks in order; the loot of each enters the scene of the next.",
    "loop": "Run attacks in a ring, each on what the last one leaves; say whether it grows.",
    "measure": "Measure results of another tool: trials with a secret in bits, others as a rate.",
    "plan": "Say how many uses and processor seconds settle each limit of a plan (--power).",
    "gate": "Compare a stored run with limits: 0 pass, 1 over, 2 bad input, 3 inconclusive.",
    "sign": "Sign a stored run with a key, or check who signed it.",
    "key": "Make a key to sign runs with, or show its fingerprint.",
    "compare": "Compare two stored runs row by row: 0 no worse, 1 worse, 2 bad input, 3 open.",
    "defend": "Say which defense of a stored run to choose, why, and what to measure next.",
    "report": "Render a stored run as a page, for a pull request or for CI.",
    "export": "Log a stored run to an MLflow tracking store.",
    "evidence": "Write what a stored run says about a law or a standard, sentence by row.",
    "index": "Note the runs of a store in an index over many stores, in PostgreSQL.",
    "serve": "Show the runs of a store in a browser: verdicts, rows, trials, what is played now.",
    "explain": "Explain a word that a report prints, such as certified or blind AUC.",
    "canaries": "Draw harmless secrets for your own training, for assess --canaries or --withheld.",
    "pack": "List packs of real data and weights, or fetch one.",
    "guard": "Serve a model through a proxy that counts the bits each account may read.",
    "new": "Write the file of a new attack, which works and can be changed.",
}
"""A verb is one row here, and one file of this folder that defines its ``app``."""

NESTED = {
    "canaries": {"make", "withhold"},
    "key": {"make", "show"},
    "guard": {"audit", "check", "replay", "reset", "status", "token"},
    "pack": {"get", "list"},
    "new": {"attack"},
}
"""Verbs that have commands of their own, each with a page of help."""
PLAYING = {"assess", "attack", "chain", "loop"}
"""Verbs that run code of parts: their process is supervised."""

SUMMARY = "Measures how many bits an attacker can move between data and models."
START = (
    "Start here:\n\n"
    "`hartley assess --scene digits` plays every attack on a model that is trained here\n\n"
    "`hartley report latest --open` shows what leaks, how sure that is, and what to do\n\n"
    "`hartley explain certified` explains any word of it"
)
EXIT_CODES = (
    "Exit codes: 0 pass, or done where there are no limits; 1 over a limit; 2 usage or bad input; "
    "3 inconclusive: a limit that is not settled, a row that failed, a flagged row that a limit is "
    "about, or an internal error; 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."
)
