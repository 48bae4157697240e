"""A scan of a data set: which records look poisoned, and what poison would pass the detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.report.format_numbers import NOTHING, count, figure, metric, number, percent, plain

SCAN = "record_scan"
"""The defense that drops what the scan flags."""
WORKS = 0.5
"""Share of triggered records that get the attacker's label from which on poison works."""
MANY = 0.25
"""Share of flagged records from which on the trusted records may be of another kind."""
ROWS = "Rows are counted from 0, a header aside"
DONE = {
    "badnets": "a patch",
    "blended": "a pattern mixed in",
    "label_flip": "wrong labels",
}
"""What an attack does to records, in words."""


def sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """Say how many records look poisoned beside chance, and how much poison would pass."""
    scan = document.get("suspects")
    if not scan:
        return
    n, flagged = scan["n"], scan["flagged"]
    if scan["trusted"] is None and not flagged:
        rate, each = scan["false_alarms"], scan["calibrating"]
        few = f", since {percent(rate)} of these are less than one" if rate * each < 1 else ""
        yield (
            f"Without trusted records the {number(n)} records calibrate themselves, each ranked "
            f"among {number(each)}: none is flagged{few}, and nothing says that none is poisoned. "
            "Give --clean, or a larger --false-alarms."
        )
        yield from _what_hides(document)
        return
    if scan["trusted"] is None:
        yield (
            f"Without trusted records the {number(n)} records calibrate themselves: the "
            f"{number(flagged)} most suspicious are flagged whatever is in them, and nothing says "
            "that one of them is poisoned. Much poison hides itself so. Give --clean."
        )
    else:
        yield (
            f"Of {number(n)} records, {count(flagged, 'looks', 'look')} poisoned to detectors that "
            f"flag {percent(scan['false_alarms'])} of clean records; {number(scan['expected'], 2)} "
            f"are expected by chance, and at most {number(scan['likely'])} in 95\u00a0% of clean "
            f"data sets ({number(scan['trusted'])} trusted records)."
        )
        yield from _beside_chance(scan)
    yield from _what_hides(document)


def _beside_chance(scan: Mapping[str, Any]) -> Iterator[str]:
    excess = scan["flagged"] - scan["likely"]
    if excess <= 0 and not scan["beyond"]:
        yield "Chance explains that many: nothing shows that a record is poisoned."
    if excess > 0:
        yield f"Chance does not explain at least {number(excess)} of them."
    if scan["beyond"]:
        yield (
            f"Of the {count(scan['beyond'], 'record')} at the head of the list chance explains at "
            "most 5\u00a0%."
        )
    if scan["flagged"] > MANY * scan["n"]:
        yield (
            "So many are flagged that the trusted records may be of another kind; then the rate of "
            "false alarms does not hold."
        )


def _what_hides(document: Mapping[str, Any]) -> Iterator[str]:
    """Say from how many records on each attack works behind the scan."""
    by_attack: dict[str, list[dict[str, Any]]] = {}
    for row in planted(document):
        if row["behind"] is not None:
            by_attack.setdefault(row["attack"], []).append({**row, "behind": _worst(row)})
    idle = []
    for attack, rows in by_attack.items():
        through = [row for row in rows if _works(row["behind"])]
        if not through:
            idle.append(attack)
            continue
        row = min(through, key=lambda r: r["count"])
        behind = row["behind"]
        share = (behind.get("metrics") or {}).get("dropped_poison")
        yield (
            f"{_done(attack).capitalize()} on {count(row['count'], 'record')} ({attack}) would "
            f"pass: of poison that Hartley planted in copies the detectors find "
            f"{_share(share)}, and a net that is trained on the rest gives "
            f"{_share(behind['metrics']['asr'])} of triggered records the attacker's label."
        )
    if idle:
        most = max(row["count"] for name in idle for row in by_attack[name])
        yield (
            f"{', '.join(idle)} with up to {count(most, 'planted record')} did not work behind the "
            f"detectors (less than {percent(WORKS)} of triggered records got the attacker's label)."
        )


def _worst(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row of the attacker who succeeds more often behind the scan.

    What an adaptive attacker chose on other victims may do worse on these than the static setting,
    which they could have played as well.
    """
    rows = [row for row in (entry["behind"], entry["static"]) if row is not None]
    return max(rows, key=lambda row: _rate(row) or 0.0)


def _rate(row: Mapping[str, Any]) -> float | None:
    rate = (row.get("metrics") or {}).get("asr")
    return rate.get("value") if isinstance(rate, Mapping) else None


def _works(row: Mapping[str, Any]) -> bool:
    return (_rate(row) or 0.0) >= WORKS


def _done(attack: str) -> str:
    return DONE.get(attack, plain(attack))


def _share(value: Any) -> str:
    if not isinstance(value, Mapping) or value.get("value") is None:
        return "an unknown share"
    low, high = value.get("low"), value.get("high")
    ends = "" if low is None or high is None else f" [{percent(low)}, {percent(high)}]"
    return f"{percent(value['value'])}{ends}"


def planted(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what poison of a run of a scan was planted, by attack and number of records.

    Args:
        document: a run document; ``defended`` are rows behind defenses, where ``channels`` has
            none of them.

    Returns:
        of each: its row without the scan (``bare``), and the row behind it of the attacker who
        knows of it, or where that was not played of one who does not (``behind``).
    """
    if not document.get("suspects"):
        return []
    out: dict[tuple[str, int], dict[str, Any]] = {}
    ranks = {"static": 1, "adaptive": 2}
    best: dict[tuple[str, int], int] = {}
    for row in (*document["channels"], *document.get("defended", ())):
        stages = (row.get("experiment") or {}).get("stages") or [{}]
        settings = {**(stages[-1].get("game_params") or {}), **(stages[-1].get("params") or {})}
        if row["status"] != "measured" or "asr" not in (row.get("metrics") or {}):
            continue
        key = (row["attack"], int(settings.get("count") or settings.get("poisons") or 0))
        entry = out.setdefault(
            key, {"attack": key[0], "count": key[1], "bare": None, "behind": None, "static": None}
        )
        defenses = [d["name"] for d in (row.get("experiment") or {}).get("defenses") or ()]
        if not defenses:
            entry["bare"] = row
        elif defenses == [SCAN]:
            knowledge = str(row.get("knowledge"))
            if ranks.get(knowledge, 0) > best.get(key, 0):
                best[key], entry["behind"] = ranks.get(knowledge, 0), row
            if knowledge == "static":
                entry["static"] = row
    return sorted(out.values(), key=lambda e: (e["attack"], e["count"]))


PLANTED_HEAD = (
    *("attack", "records", "success", "share found", "success behind the scan", "attacker"),
    "found by each detector",
)


def planted_lines(document: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the cells of a line for each attack and number of planted records."""
    for entry in planted(document):
        bare = (entry["bare"] or {}).get("metrics") or {}
        for row in dict.fromkeys((_id(entry["static"]), _id(entry["behind"]))):
            behind = next(
                (r for r in (entry["static"], entry["behind"]) if r is not None and r["id"] == row),
                None,
            )
            if behind is None:
                continue
            metrics = behind["metrics"]
            each = [
                f"{name.removeprefix('detected_by_')} {percent(value['value'])}"
                for name, value in metrics.items()
                if name.startswith("detected_by_")
            ]
            yield [
                entry["attack"],
                str(entry["count"]),
                figure(bare.get("asr")) if bare else NOTHING,
                figure(metrics.get("dropped_poison")),
                figure(metrics["asr"]),
                f"{behind['knowledge']}{_setting(behind)}",
                ", ".join(each) or NOTHING,
            ]


def _id(row: Mapping[str, Any] | None) -> str | None:
    return None if row is None else row["id"]


def _setting(row: Mapping[str, Any]) -> str:
    setting = (row.get("tuning") or {}).get("setting") or {}
    words = ", ".join(f"{metric(name)} {value}" for name, value in setting.items())
    return f" ({words})" if words else ""


HEAD = ("#", "data", "row", "clean records that look as bad", "chance explains", "by")


def lines(document: Mapping[str, Any], length: int) -> Iterator[list[str]]:
    """Yield the cells of a line for each suspect record, the most suspicious first."""
    for place, record in enumerate((document.get("suspects") or {}).get("records", ())[:length], 1):
        yield [
            str(place),
            record["source"],
            record["file"] or str(record["row"]),
            percent(record["fpr"]),
            f"up to {percent(record['chance'])}",
            ", ".join(record["detectors"]) or "all together",
        ]


def explained(document: Mapping[str, Any]) -> Sequence[str]:
    """Return what the list of suspect records means, a sentence each."""
    scan = document["suspects"]
    alone = ", ".join(f"{name} {number(value)}" for name, value in scan["detectors"].items())
    return (
        f"Each detector alone flags: {alone}.",
        "Each record is scored by nets that were not trained on it"
        + (
            f", and ranked among {number(scan['calibrating'])} trusted records that no net was "
            "trained on either, half of them taking turns: a clean record of the same kind is "
            f"flagged with chance {percent(scan['false_alarms'])} at most."
            if scan["trusted"]
            else ", and ranked among the others. Poison among these raises the bar for poison."
        ),
        f"{ROWS}; no content of a record is stored or printed.",
    )
