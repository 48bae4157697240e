"""Released tables against anonymeter 1.1.0, and what they say at settings with a known answer.

    python bench/tables.py inputs FOLDER             writes the tables that both sides read
    PEER/bin/python bench/peers/anonymeter_figures.py FOLDER   its figures and times, in its own env
    python bench/tables.py parity FOLDER             our figures beside them
    python bench/tables.py speed FOLDER              our times beside them
    python bench/tables.py truths [SCENE [WAY]]      bits of each attack by the way of publishing
    python bench/tables.py shadows                   shadows of tables drawn column by column
    python bench/tables.py budgets [DEFENSE]         bits, ceilings and utility by strength
    python bench/tables.py texts                     whose mails are linked, behind what
    python bench/tables.py masked                    what scrubadub 2.0.1 finds in the mails
    python bench/tables.py accuracy                  what readers learn from releases of the census

The peer: python -m venv PEER && PEER/bin/pip install anonymeter==1.1.0
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

import hartley
from hartley import catalog
from hartley.data import tabular
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.kit import table_predicates
from hartley.kit.mixed_tables import TableColumn, distinct, gower_nearest, numbers_of
from hartley.kit.releases import copulas
from hartley.kit.residual_risk import residual_risk, success_rate

ATTACKS, COLUMNS, ROUNDS = 500, 4, 24
GAMES = {
    "univariate_predicates": "singling_out",
    "multivariate_predicates": "singling_out",
    "row_predicates": "singling_out",
    "common_neighbour": "linkability",
    "nearest_value": "released_attribute",
    "closest_record": "released_membership",
    "density_ratio": "released_membership",
    "shadow_releases": "released_membership",
    "nearest_row": "linkage",
    "fellegi_sunter": "linkage",
}

STRENGTHS = (
    *(("dp_synthesis", {"rho": rho}) for rho in (0.02, 0.1, 0.5, 2.0, 10.0)),
    *(("local_dp", {"epsilon": epsilon}) for epsilon in (2.0, 8.0, 32.0)),
    *(("k_anonymity", {"k": k}) for k in (2, 5, 20)),
)
"""Defenses of the census and their settings."""


def inputs(folder: Path) -> None:
    """Write original, synthetic and control tables: one of numbers without ties, one mixed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (table, columns), size in (
        ("tumours", tabular.measured_tumours(), 190),
        ("census", tabular.people(), 2000),
        ("census_large", tabular.people(), 16_000),
    ):
        rng = np.random.default_rng(0)
        order = rng.permutation(len(table))
        original, control = table[order[:size]], table[order[size : 2 * size]]
        synthetic = copulas.synthetic(original, numbers_of(columns), rng)
        # A quarter of the release are rows of the original, so that there is a risk to measure.
        synthetic[: size // 4] = original[: size // 4]
        for kind, rows in (("ori", original), ("syn", synthetic), ("control", control)):
            frame = pd.DataFrame(rows, columns=[column.name for column in columns])
            for column in columns:
                if column.values:
                    titles = np.array(column.titles)
                    frame[column.name] = titles[frame[column.name].astype(int)]
            frame.to_csv(folder / f"{name}.{kind}.csv", index=False)


def _read(folder: Path, name: str) -> tuple[dict[str, np.ndarray], list[TableColumn]]:
    frames = {k: pd.read_csv(folder / f"{name}.{k}.csv") for k in ("ori", "syn", "control")}
    both = pd.concat(frames)
    columns, tables = [], {k: [] for k in frames}
    for column in both.columns:
        words = both[column].dtype.kind not in "iufb"
        values = sorted(both[column].unique()) if words else []
        columns.append(TableColumn(column, len(values), tuple(values)))
        place = {value: k for k, value in enumerate(values)}
        for k, frame in frames.items():
            cells = frame[column].map(place) if words else frame[column]
            tables[k].append(cells.to_numpy(dtype=float))
    return {k: np.column_stack(parts) for k, parts in tables.items()}, columns


def _risk(inside: float, outside: float, count: int) -> list[float]:
    risk = residual_risk(success_rate(inside, count), success_rate(outside, count))
    return [risk.cut, *risk.interval]


def _sorted_places(columns: list[TableColumn], names: list[str]) -> list[int]:
    """anonymeter sorts columns by name, numbers first: the order of a sum of floats."""
    return [next(i for i, c in enumerate(columns) if c.name == name) for name in sorted(names)]


def ours(folder: Path, task: dict) -> dict:
    """Return our figures of one task of the peer's file, and the seconds they took."""
    tables, columns = _read(folder, task["table"])
    began = time.process_time(), time.perf_counter()
    if task["kind"].startswith("singling"):
        figures = _singling_out(tables, columns, task)
    elif task["kind"] == "linkability":
        figures = _linkability(tables, columns, task)
    else:
        figures = _inference(tables, columns, task)
    cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    return {**figures, "cpu": cpu, "wall": wall}


def _singling_out(tables: dict, columns: list[TableColumn], task: dict) -> dict:
    rows = {k: t[distinct(t)] for k, t in tables.items()}
    kinds = numbers_of(columns)
    if task["kind"] == "singling_univariate":
        made = table_predicates.univariate(rows["syn"], kinds)
    else:
        made = table_predicates.multivariate(
            rows["syn"],
            kinds,
            np.random.default_rng(task["seed"]),
            count=task["attacks"],
            columns=COLUMNS,
            attempts=10_000_000,
            choose=table_predicates.chosen_one_by_one,
        )
    inside, outside = (
        int((table_predicates.counts(made, rows[k]) == 1).sum()) for k in ("ori", "control")
    )
    return {
        "queries": len(made),
        "success": inside,
        "control": outside,
        "risk": _risk(inside, outside, task["attacks"]),
    }


def _linkability(tables: dict, columns: list[TableColumn], task: dict) -> dict:
    counts = []
    for kind in ("ori", "control"):
        near = []
        for names in task["aux"]:
            places = _sorted_places(columns, names)
            targets = tables[kind][task["targets"][kind]][:, places]
            part = [columns[place] for place in places]
            near.append(gower_nearest(targets, tables["syn"][:, places], part, task["k"])[0])
        counts.append(sum(bool(set(a) & set(b)) for a, b in zip(*near, strict=True)))
    return {
        "success": counts[0],
        "control": counts[1],
        "risk": _risk(counts[0], counts[1], task["attacks"]),
    }


def _inference(tables: dict, columns: list[TableColumn], task: dict) -> dict:
    places = _sorted_places(columns, task["aux"])
    part = [columns[place] for place in places]
    secret = next(i for i, c in enumerate(columns) if c.name == task["secret"])
    counts = []
    for kind in ("ori", "control"):
        targets = tables[kind][task["targets"][kind]]
        near, _ = gower_nearest(targets[:, places], tables["syn"][:, places], part)
        counts.append(int((tables["syn"][near[:, 0], secret] == targets[:, secret]).sum()))
    return {
        "success": counts[0],
        "control": counts[1],
        "risk": _risk(counts[0], counts[1], task["attacks"]),
    }


def parity(folder: Path) -> None:
    """Print both sides' figures and the largest difference of each task."""
    worst, equal = 0.0, True
    for task in json.loads((folder / "anonymeter.json").read_text()):
        if task["table"] == "census_large":
            continue
        mine, theirs = ours(folder, task), task["figures"]
        keys = ("success", "control")
        gap = max(abs(a - b) for a, b in zip(mine["risk"], theirs["risk"], strict=True))
        exact = all(mine[k] == theirs[k] for k in keys) and gap <= 1e-6
        if task["ties"] != "numba":
            worst, equal = max(worst, gap), equal and exact
        print(
            f"{task['table']:9s} {task['kind']:22s} ties {task['ties']:7s} "
            f"ours {[mine[k] for k in keys]} theirs {[theirs[k] for k in keys]} "
            f"risk {mine['risk'][0]:.6f} {theirs['risk'][0]:.6f} gap {gap:.1e} "
            f"{'equal' if exact else 'DIFFERS'}"
        )
    print(f"largest difference of a risk or its ends, ties in order: {worst:.1e}")
    if not equal:
        raise SystemExit(1)


def speed(folder: Path) -> None:
    """Print CPU seconds of both sides, the least of three runs."""
    for task in json.loads((folder / "anonymeter.json").read_text()):
        runs = [ours(folder, task) for _ in range(3)]
        cpu = min(run["cpu"] for run in runs)
        print(
            f"{task['table']:13s} {task['kind']:22s} ties {task['ties']:7s} ours {cpu:.3f} s, "
            f"anonymeter {task['cpu']:.3f} s of CPU: {task['cpu'] / cpu:.1f} times"
        )


def _line(
    label: str, name: str, scene: hartley.Scene, params: dict, seed: int = 0, **more: object
) -> None:
    rules = {"rounds": 8 if "vine" in label else ROUNDS}
    channel = hartley.measure(
        hartley.play(name, scene, seed=seed, params=params, game_params=rules, **more)
    )
    high = channel.ceiling.value if channel.high is None else channel.high
    shown = ("attack_rate", "control_rate", "residual_risk", "linked")
    figures = {
        k: round(float(channel.metrics[k]["value"]), 3) for k in shown if k in channel.metrics
    }
    print(
        f"{label:34s} {name:24s} {params or ''!s:16s} {channel.bits.value:.4f} "
        f"[{channel.bits.lower:.4f}, {high:.4f}] of {channel.ceiling.value:.4f} n {channel.bits.n} "
        f"{figures}",
        flush=True,
    )


def truths(name: str, only: str = "") -> None:
    """Print the bits of every attack on a copy, on synthetic tables and on an independent draw."""
    ways = ("pseudonymised", "copula", "tree", "vine", "columnwise", "independent")
    for way in (only,) if only else ways:
        try:
            scene = build(name, {"release": way})
            utility = scene.utility(scene)["accuracy"]
            for attack in GAMES:
                if way in ("vine", "columnwise") and attack == "shadow_releases":
                    continue  # 16 releases for each table take minutes
                params = {"shadows": 16} if attack == "shadow_releases" else {}
                _line(f"{name} {way} (accuracy {utility:.3f})", attack, scene, params)
        except hartley.core.errors.MissingExtra as absent:
            print(f"{name} {way}: {absent}")


def shadows() -> None:
    """Print what shadows read where each column is drawn by itself, known to the attacker or not.

    A static attacker believes that rows are published as they are. Each table has 16 releases.
    """
    plain = build("released_census")
    settings, way = {"shadows": 16}, {"copula": "independence"}
    behind = defended(plain, catalog.load("defense", "synthesis"), way)
    for label, more in (("static", {"undefended": plain, "knowledge": "static"}), ("adaptive", {})):
        _line(f"columnwise, {label}", "shadow_releases", behind, settings, **more)


def budgets(only: str = "") -> None:
    """Print bits, ceilings and utility of defenses of the census by their strength."""
    plain = build("released_census")
    for defense, params in STRENGTHS:
        if only not in ("", defense):
            continue
        scene = defended(plain, catalog.load("defense", defense), params)
        utility = scene.utility(scene)["accuracy"]
        label = f"{defense} {params} (accuracy {utility:.3f})"
        for attack in ("row_predicates", "nearest_value", "closest_record", "fellegi_sunter"):
            _line(label, attack, scene, {"slack": 0.05} if attack == "row_predicates" else {})


def texts() -> None:
    """Print whose mails are linked, by the way of publishing and the defense."""
    attacks = ("author_linkage", "rare_words")
    plain = build("released_mails")
    for name in attacks:
        _texts("headless", name, plain)
        _texts("independent", name, build("released_mails", {"release": "independent"}))
    masked = defended(plain, catalog.load("defense", "placeholders"))
    words = catalog.load("defense", "common_words")
    for label, scene in (
        ("headless", plain),
        ("placeholders", masked),
        ("common_words 10", defended(plain, words, {"people": 10})),
        ("placeholders, common_words 10", defended(masked, words, {"people": 10})),
        ("placeholders, common_words 40", defended(masked, words, {"people": 40})),
    ):
        figure = scene.utility(scene)["accuracy"]
        print(f"{label:34s} {figure:.3f} [{figure.low:.3f}, {figure.high:.3f}] n {figure.n}")
        for name in attacks if scene is not plain else ():
            _texts(label, name, scene, undefended=plain, knowledge="static")
            _texts(label, name, scene)
    for known in (1, 8):
        scene = build("released_mails", {"release": "deidentified", "known": known})
        _texts(f"deidentified, {known} known", attacks[0], scene)
    for release in ("headless", "deidentified"):
        scene = build("released_mails", {"release": release, "one_list": True})
        _texts(f"{release}, one list", attacks[0], scene)
    scene = build("released_mails", {"release": "deidentified"})
    _texts("deidentified, 96 people", attacks[0], scene, people=96, rounds=10)


def _texts(
    label: str, name: str, scene: hartley.Scene, people: int = 32, rounds: int = 20, **more: object
) -> None:
    rules = {"people": people, "rounds": rounds}
    channel = hartley.measure(hartley.play(name, scene, seed=0, game_params=rules, **more))
    linked = channel.metrics["linked"]
    print(
        f"{label:34s} {name:15s} {more.get('knowledge', 'adaptive'):9s} {channel.bits.value:.3f} "
        f"[{channel.bits.lower:.3f}, {channel.high:.3f}] of {channel.ceiling.value:.2f} "
        f"n {channel.bits.n} first {linked['value']:.3f} [{linked['low']:.3f}, "
        f"{linked['high']:.3f}]",
        flush=True,
    )


def masked() -> None:
    """Print what the detectors of scrubadub find in the mails, and behind placeholders."""
    import scrubadub

    from hartley.data import mails
    from hartley.kit.language.deidentification import placeholders

    detectors = [
        scrubadub.detectors.EmailDetector,
        scrubadub.detectors.UrlDetector,
        scrubadub.detectors.PhoneDetector(locale="en_US"),
    ]
    scrubber = scrubadub.Scrubber(detector_list=detectors)
    texts = [mail.text for mail in mails.authored()]
    for label, versions in (
        ("as written", texts),
        ("behind placeholders", [placeholders(text, mails.names()) for text in texts]),
    ):
        filth = [one for text in versions for one in scrubber.iter_filth(text)]
        print(label, len(texts), dict(Counter(one.type for one in filth)))
        if label != "as written":
            print([one.text for one in filth])


def accuracy() -> None:
    """Print how right a reader is who learnt from a release, by the way and by the defense."""
    for way in ("pseudonymised", "copula", "tree", "vine", "independent"):
        _accuracy(way, build("released_census", {"release": way}))
    plain = build("released_census")
    for defense, params in STRENGTHS:
        _accuracy(f"{defense} {params}", defended(plain, catalog.load("defense", defense), params))


def _accuracy(label: str, scene: hartley.Scene) -> None:
    try:
        figure = scene.utility(scene)["accuracy"]
    except hartley.core.errors.MissingExtra as absent:
        print(f"{label}: {absent}")
        return
    print(
        f"{label:34s} {figure:.3f} [{figure.low:.3f}, {figure.high:.3f}] of {figure.n} releases",
        flush=True,
    )


if __name__ == "__main__":
    {
        "inputs": lambda: inputs(Path(sys.argv[2])),
        "parity": lambda: parity(Path(sys.argv[2])),
        "speed": lambda: speed(Path(sys.argv[2])),
        "truths": lambda: truths(*(sys.argv[2:] or ["released_census"])),
        "accuracy": accuracy,
        "texts": texts,
        "masked": masked,
        "shadows": shadows,
        "budgets": lambda: budgets(*sys.argv[2:]),
    }[sys.argv[1]]()
