"""A data set of the user's own: every door, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.engine.build_scene import build
from hartley.games.poisoning.suspect_records import SuspectRecords


def people(rng: np.random.Generator, n: int) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "hours": rng.normal(40, 10, n).round(1),
            "job": rng.choice(["clerk", "baker", "smith"], n),
            "married": rng.random(n) < 0.5,
        }
    )
    table["income"] = np.where(table.age + rng.normal(0, 15, n) > 50, "high", "low")
    table.loc[rng.random(n) < 0.1, "hours"] = np.nan
    table.loc[rng.random(n) < 0.1, "job"] = None
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, arrays and pictures, each with trusted ones besides."""
    place = tmp_path_factory.mktemp("records")
    rng = np.random.default_rng(0)
    people(rng, 160).to_csv(place / "mine.csv", index=False)
    people(rng, 60).to_parquet(place / "trusted.parquet")
    people(rng, 160).to_json(place / "mine.jsonl", orient="records", lines=True)
    for name, n in (("mine", 120), ("trusted", 60)):
        x = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
        np.savez(place / f"{name}.npz", x=x, y=np.arange(n) % 3)
        np.savez(place / f"floats_{name}.npz", x=x[:, None] / 100.0 - 1.0, y=np.arange(n) % 3)
        np.savez(place / f"rows_{name}.npz", x=x.reshape(n, -1) * 1.0, y=np.arange(n) % 3)
    from PIL import Image

    for k in range(120):
        to = place / "pictures" / ("cats" if k % 2 else "dogs")
        to.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)).save(to / f"{k:03}.png")
    return place


def scene(folder: Path, records: str, clean: str = "", **more: Any) -> Scene:
    values = {"records": str(folder / records), "false_alarms": 0.05, **more}
    return build("own_records", values | ({"clean": str(folder / clean)} if clean else {}))


@pytest.mark.parametrize(
    ("records", "clean", "target", "modality", "shape"),
    [
        ("mine.csv", "trusted.parquet", "income", Modality.TABULAR, (9,)),
        ("mine.jsonl", "", "income", Modality.TABULAR, (9,)),
        ("mine.npz", "trusted.npz", "", Modality.VISION, (1, 8, 8)),
        ("floats_mine.npz", "floats_trusted.npz", "", Modality.VISION, (1, 8, 8)),
        ("rows_mine.npz", "", "", Modality.TABULAR, (64,)),
        ("pictures", "", "", Modality.VISION, (1, 9, 9)),
    ],
)
def test_every_door_leads_to_records_that_poison_can_be_planted_into(
    folder: Path, records: str, clean: str, target: str, modality: Modality, shape: tuple[int, ...]
) -> None:
    made = scene(folder, records, clean, target=target)
    part = made.part(SuspectRecords)
    assert made.modality is modality and made.train is not None and made.resumable
    if modality is Modality.TABULAR and target:
        # Two numbers, one that may be missing, a flag, three words, a missing one and any other.
        assert part.records.x.shape[1] == 2 + 1 + 1 + 5
    else:
        assert part.records.x.shape[1:] == shape
    if modality is Modality.VISION:
        assert part.records.x.min() >= 0.0 and part.records.x.max() <= 1.0
    everywhere = [made.train, made.extra["public"], made.extra["test"]]
    assert sum(map(len, everywhere)) == len(part.records) and (made.holdout is None) == (not clean)
    for data in everywhere:
        assert set(np.unique(data.labels)) == set(np.unique(part.records.labels))
    assert bool(part.files) == (records == "pictures")
    if part.files:
        assert part.files[0] == str(Path("cats") / "001.png")


def test_the_scene_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    first = scene(folder, "mine.csv", target="income")
    table = pd.read_csv(folder / "mine.csv")
    table.loc[3, "age"] += 1
    table.to_csv(tmp_path / "mine.csv", index=False)
    other = build(
        "own_records",
        {"records": str(tmp_path / "mine.csv"), "target": "income", "false_alarms": 0.05},
    )
    assert first.digest != other.digest
    assert first.digest != scene(folder, "mine.csv", target="income", false_alarms=0.1).digest


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the target must be a column of .*; it has age, hours"),
        ({"target": "incom"}, "no column 'incom'"),
        ({"target": "hours"}, "the target must have a value in every row"),
        ({"target": "number"}, "must be a class, got 160 different values such as .* ranges"),
        ({"target": "when"}, "must be words or whole numbers, got Timestamp|got datetime"),
        ({"target": "one"}, "two classes or more, got one class"),
        ({"target": "rare"}, "at least 8 records of each class, got fewer of seldom \\(3\\)"),
        ({"target": "income", "clean": "few.csv"}, "at least 198 trusted records.* got 40"),
        ({"target": "income", "clean": "lacks.csv"}, "every class .* got none of low"),
        (
            {"target": "income", "clean": "others.csv"},
            "must have the labels of .* got huge besides",
        ),
        ({"target": "income", "clean": "mine.csv"}, "--clean must be other records than --records"),
        ({"target": "income", "records": "few.csv"}, "at least 100 records .* got 40"),
        ({"target": "income", "modality": "vision"}, "--modality must be tabular for a table"),
        ({"target": "income", "records": "odd.npz"}, "--target names the column of a table"),
        ({"records": "odd.npz", "clean": "few.csv"}, "--clean must be arrays as --records is, got"),
        ({"records": "cats", "clean": "few.csv"}, "--clean must be a folder as --records is, got"),
        ({"target": "income", "records": "texts.csv"}, "'note' has 160 different values in 160"),
    ],
)
def test_what_cannot_be_scanned_is_one_line(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    rng = np.random.default_rng(0)
    table = people(rng, 160)
    table["number"] = rng.normal(size=160)
    table["one"] = "same"
    table["rare"] = np.where(np.arange(160) < 3, "seldom", "often")
    file = "mine.csv"
    if values.get("target") == "when":
        file = "mine.parquet"
        table["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(160) % 3, "D")
    (table.to_parquet if file.endswith("parquet") else table.to_csv)(tmp_path / file, index=False)
    table[:40].to_csv(tmp_path / "few.csv", index=False)
    many = pd.concat([table, table])
    many[many.income == "high"].to_csv(tmp_path / "lacks.csv", index=False)
    many.assign(income="huge").to_csv(tmp_path / "others.csv", index=False)
    notes = [f"note {k} of the clerk" for k in range(160)]
    table.assign(note=notes).to_csv(tmp_path / "texts.csv", index=False)
    (tmp_path / "cats").mkdir()
    np.savez(tmp_path / "odd.npz", x=np.zeros((200, 3)), y=np.arange(200) % 2)
    named = {
        key: str(tmp_path / value) if key in ("records", "clean") else value
        for key, value in {"records": file, **values}.items()
    }
    if values.get("clean") == "lacks.csv":
        named["false_alarms"] = 0.05
    with pytest.raises(UsageError, match=message) as raised:
        build("own_records", named)
    assert "\n" not in str(raised.value)
