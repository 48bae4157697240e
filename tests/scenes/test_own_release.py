"""A table of the user's own, its release and a control: what it reads, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hartley
from hartley.core import Scene
from hartley.core.errors import HartleyError
from hartley.engine.build_scene import build
from hartley.engine.plan.own_scene import own_scene
from hartley.games.decryption import released_tables


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "hours": rng.normal(40, 10, n).round(1),
            "job": rng.choice(["clerk", "baker", "smith", "3+"], n),
            "town": rng.choice([f"town {k}" for k in range(20)], n),
            "children": rng.integers(0, 4, n),
        }
    )
    table.loc[rng.random(n) < 0.1, "hours"] = np.nan
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    real, control = people(300, 0), people(300, 1)
    real.to_csv(place / "real.csv", index=False)
    control.to_csv(place / "control.csv", index=False)
    control.to_parquet(place / "control.parquet")
    real.sample(frac=1, random_state=0).to_csv(place / "copy.csv", index=False)
    people(300, 2).to_csv(place / "draw.csv", index=False)
    real[:200].to_csv(place / "members.csv", index=False)
    named = real.assign(id=[f"p{k}" for k in range(300)])
    named.to_csv(place / "named.csv", index=False)
    named.sample(frac=1, random_state=1).to_csv(place / "rows.csv", index=False)
    return place


def scene(folder: Path, released: str, original: str = "real.csv", **more: str) -> Scene:
    files = {"original": original, "released": released, "control": "control.csv"}
    paths = {what: str(folder / name) if name else "" for what, name in files.items()}
    return build("own_release", paths | more)


def bits(name: str, scene: Scene) -> float:
    return float(hartley.measure(hartley.play(name, scene, seed=0), redraws=1).bits.value)


def test_a_copy_is_near_the_ceiling_and_an_independent_draw_at_0(folder: Path) -> None:
    copy, draw = scene(folder, "copy.csv"), scene(folder, "draw.csv")
    for name in ("row_predicates", "closest_record"):
        assert bits(name, copy) > 0.95
        channel = hartley.measure(hartley.play(name, draw, seed=0), redraws=1)
        # With 300 pairs a point estimate of nothing is a few hundredths.
        assert channel.bits.lower == 0.0 and channel.bits.value < 0.05


def test_files_of_two_kinds_are_one_form_and_missing_numbers_are_kept(folder: Path) -> None:
    built = build(
        "own_release",
        {
            "original": str(folder / "real.csv"),
            "released": str(folder / "copy.csv"),
            "control": str(folder / "control.parquet"),
            "sensitive": "children",
            "known": "age, job",
        },
    )
    assert built.extra["people"].x.shape[1] == 6  # hours takes two
    assert built.facts["known"] == "age, job" and built.has("secret_column")
    assert not built.has("row_owners") and bits("nearest_value", built) > 0.1
    assert not scene(folder, "copy.csv").has("secret_column")


def test_rows_with_an_id_are_linked(folder: Path) -> None:
    built = scene(folder, "rows.csv", "named.csv", row_id="id")
    assert bits("nearest_row", built) > 0.95 * np.log2(300)
    assert "id" not in [column.name for column in hartley_columns(built)]


def hartley_columns(scene: Scene) -> tuple:
    from hartley.kit.releases.table_release import TableRelease

    return scene.part(TableRelease).columns


def test_flags_lead_to_the_scene_and_those_of_models_do_not() -> None:
    name, _ = own_scene({"original": "a", "released": "b", "control": "c", "sensitive": "d"})
    assert name == "own_release"
    with pytest.raises(HartleyError, match="--target is for own_table and does not go with"):
        own_scene({"original": "a", "released": "b", "control": "c", "target": "d"})


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame] | None, dict, str]] = {
    "fewer": (lambda t: t.drop(columns="age"), {}, "columns of .*real.csv: it has no age"),
    "more": (lambda t: t.assign(x=1), {}, "it has x besides"),
    "renamed": (lambda t: t.rename(columns={"age": "agee"}), {}, "did you mean agee"),
    "header": (lambda t: t[:0], {}, "must have rows, got a header alone"),
    "mixed": (
        lambda t: t.assign(age=["old", *t.age[1:].astype(str)]),
        {},
        "column 'age' must be of one type in all files, got numbers in .*real.csv and words in "
        r".*changed.csv \(such as 'old'\)",
    ),
    "endless": (
        lambda t: t.assign(age=np.where(t.index == 3, np.inf, t.age)),
        {},
        "column 'age' of .*changed.csv must be finite numbers",
    ),
    "absent": (lambda t: t.assign(age=None), {}, "column 'age' of .* must have values"),
    "no id": (None, {"row_id": "id"}, "--row-id must be a column of .*real.csv, got 'id'"),
    "secret": (None, {"sensitive": "jobs"}, "--sensitive must be a column .* did you mean job"),
    "numbers": (None, {"sensitive": "hours"}, "--sensitive must be a column of 2 to 64 different"),
    "known": (None, {"known": "age,jov"}, "--known must be columns of the tables, got 'jov'"),
    "alone": (None, {"known": "job", "sensitive": "job"}, "--known must be a column besides"),
    "no control": (None, {"control": ""}, "--control must be a table, got none: others of the"),
    "same": (None, {"released": "real.csv"}, "must be three files, got one of them twice"),
    "member": (None, {"control": "members.csv"}, "--control must be others than .* 100.00% of its"),
    "gone": (None, {"released": "gone.csv"}, "--release must be a file that is there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(case: str, folder: Path) -> None:
    change, more, message = REFUSED[case]
    given = {"original": "real.csv", "released": "copy.csv", "control": "control.csv"}
    files = {k: v for k, v in {**given, **more}.items() if k in given}
    if change is not None:
        change(pd.read_csv(folder / "copy.csv")).to_csv(folder / "changed.csv", index=False)
        files["released"] = "changed.csv"
    paths = {k: str(folder / v) if v else "" for k, v in files.items()}
    with pytest.raises(HartleyError, match=message) as caught:
        build("own_release", paths | {k: v for k, v in more.items() if k not in given})
    assert "\n" not in str(caught.value)


def test_ids_that_repeat_or_link_nothing_are_refused(folder: Path) -> None:
    rows = pd.read_csv(folder / "rows.csv")
    rows.assign(id=[*rows.id[:-1], rows.id[0]]).to_csv(folder / "twice.csv", index=False)
    rows.assign(id=[f"q{k}" for k in range(300)]).to_csv(folder / "others.csv", index=False)
    with pytest.raises(HartleyError, match=r"'id' of .*twice.csv has 'p.*' 2 times"):
        scene(folder, "twice.csv", "named.csv", row_id="id")
    with pytest.raises(HartleyError, match="--row-id must link the tables"):
        scene(folder, "others.csv", "named.csv", row_id="id")
    with pytest.raises(HartleyError, match="named by --row-id"):
        scene(folder, "rows.csv", "named.csv")


def test_text_that_is_not_utf8_and_columns_of_numbers_and_words_are_refused(folder: Path) -> None:
    text = (folder / "copy.csv").read_text().replace("clerk", "clérk")
    (folder / "latin.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(HartleyError, match="a table must be UTF-8"):
        scene(folder, "latin.csv")
    for name in ("real", "copy", "control"):
        table = pd.read_csv(folder / f"{name}.csv")
        odd = ["old", *table.age[1:].astype(str)]
        table.assign(age=odd).to_csv(folder / f"odd_{name}.csv", index=False)
    with pytest.raises(HartleyError, match=r"must be numbers or words, got both in age \(old\)"):
        build(
            "own_release",
            {
                "original": str(folder / "odd_real.csv"),
                "released": str(folder / "odd_copy.csv"),
                "control": str(folder / "odd_control.csv"),
            },
        )


def test_a_control_whose_people_are_in_the_table_is_refused_by_their_ids(folder: Path) -> None:
    named = pd.read_csv(folder / "named.csv")
    some = people(300, 1).assign(id=[f"c{k}" for k in range(300)])
    some.loc[:9, named.columns] = named.loc[:9]
    some.to_csv(folder / "some.csv", index=False)
    with pytest.raises(HartleyError, match=r"must be others than .*, got 10 'id' .* in both"):
        scene(folder, "rows.csv", "named.csv", row_id="id", control=str(folder / "some.csv"))


def test_ids_that_were_numbered_anew_do_not_make_others_of_the_same_people(
    folder: Path, tmp_path: Path
) -> None:
    named = pd.read_csv(folder / "named.csv")
    again = named.assign(id=[f"p{k}" for k in range(1000, 1300)])
    again.to_csv(tmp_path / "again.csv", index=False)
    anew = "got 100.00% of its rows that are in both.* 'id' differs and does not show it; leave"
    with pytest.raises(HartleyError, match=anew):
        scene(folder, "rows.csv", "named.csv", row_id="id", control=str(tmp_path / "again.csv"))
    others = people(300, 1).assign(id=again.id)
    others.to_csv(tmp_path / "others.csv", index=False)
    scene(folder, "rows.csv", "named.csv", row_id="id", control=str(tmp_path / "others.csv"))


def test_homes_that_were_numbered_anew_are_refused_and_others_alike_within_are_not(
    tmp_path: Path,
) -> None:
    def homes(name: str, seed: int, first: int, order: int = 0) -> str:
        table = people(60, seed).loc[np.repeat(np.arange(60), 4)].reset_index(drop=True)
        table["age"] += np.tile([0, 0, 0, 1], 60)
        table["home"] = first + np.repeat(np.arange(60), 4)
        path = tmp_path / f"{name}.csv"
        table.sample(frac=1, random_state=order).to_csv(path, index=False)
        return str(path)

    real, copy = homes("real", 0, 0), homes("copy", 0, 0)
    files = {"original": real, "released": copy, "cluster": "home"}
    build("own_release", {**files, "control": homes("others", 1, 1000)})
    with pytest.raises(HartleyError, match=r"100.00% of its 'home' \(one row of each\) that are"):
        build("own_release", {**files, "control": homes("same", 0, 1000, order=1)})


def test_ids_are_of_somebody_and_a_release_has_rows(folder: Path) -> None:
    rows = pd.read_csv(folder / "rows.csv")
    rows.loc[3, "id"] = None
    rows.to_csv(folder / "empty.csv", index=False)
    with pytest.raises(HartleyError, match=r"'id' of .*empty.csv has empty cells"):
        scene(folder, "empty.csv", "named.csv", row_id="id")
    pd.read_csv(folder / "copy.csv").dropna()[:1].to_csv(folder / "one.csv", index=False)
    with pytest.raises(HartleyError, match=r"one.csv must have at least 2 rows, got 1"):
        scene(folder, "one.csv")


def test_a_control_with_people_of_the_table_is_refused_where_chance_does_not_explain_it(
    folder: Path, tmp_path: Path
) -> None:
    mixed = people(300, 1)
    mixed.loc[:29] = people(300, 0)[:30]
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    with pytest.raises(HartleyError, match=r"others than .*, got 10.00% of its rows .* 0.00% of"):
        scene(folder, "copy.csv", control=str(tmp_path / "mixed.csv"))
    # Two columns of few values: nine in ten rows are in both tables, as chance has it.
    files = {"original": 0, "released": 1, "control": 2}
    for what, seed in files.items():
        people(300, seed)[["job", "town"]].to_csv(tmp_path / f"{what}.csv", index=False)
    built = build("own_release", {what: str(tmp_path / f"{what}.csv") for what in files})
    assert built.facts["control rows that are in the original table"] > 0.9


def test_rows_that_belong_together_are_drawn_one_of_each(folder: Path, tmp_path: Path) -> None:
    homes = {}
    for name, seed, first in (("real", 0, 0), ("copy", 0, 0), ("control", 1, 1000)):
        table = people(100, seed).loc[np.repeat(np.arange(100), 4)]
        table["home"] = first + np.repeat(np.arange(100), 4)
        table["age"] += np.tile(np.arange(4), 100)
        table["hours"] = first + np.repeat(np.arange(100), 4) / 8  # no two homes are alike
        homes[name] = tmp_path / f"{name}.csv"
        table.to_csv(homes[name], index=False)
    given = {"original": "real", "released": "copy", "control": "control"}
    paths = {what: str(homes[name]) for what, name in given.items()}
    built = build("own_release", {**paths, "cluster": "home"})
    assert "home" not in [column.name for column in hartley_columns(built)]
    assert "one row of each home: 100 in" in built.facts["drawn"]
    one = released_tables.publications(built, np.random.default_rng(0), 1)[0]
    assert len(one.coins) == 100 and len(one.others) == 600
    rows = [row.tobytes() for row in np.asarray(built.extra["people"].x)]
    owners = sorted(rows.index(row.tobytes()) // 4 for row in one.people[one.inside])
    assert owners == list(range(100))
    # Every other row belongs with the one that was drawn of its home.
    of_control = [row.tobytes() for row in np.asarray(built.extra["control"].x)]
    for other, seat in zip(one.others, one.relatives, strict=True):
        drawn = one.people[seat].tobytes()
        table = rows if drawn in rows else of_control
        assert table.index(other.tobytes()) // 4 == table.index(drawn) // 4
    channel = hartley.measure(hartley.play("closest_record", built, seed=0), redraws=1)
    assert channel.bits.n == 100 and channel.bits.value > 0.9
    with pytest.raises(HartleyError, match=r"got 100 'home' that are in both, such as '0'"):
        table = pd.read_csv(homes["control"]).assign(home=np.repeat(np.arange(100), 4))
        table.to_csv(tmp_path / "same.csv", index=False)
        build("own_release", {**paths, "control": str(tmp_path / "same.csv"), "cluster": "home"})
    with pytest.raises(HartleyError, match=r"--cluster must be a column of .*, got 'hom'"):
        build("own_release", {**paths, "cluster": "hom"})
    with pytest.raises(HartleyError, match="--cluster must be another column than --row-id"):
        build("own_release", {**paths, "cluster": "home", "row_id": "home"})


def test_a_predicate_must_be_alone_in_the_whole_table(tmp_path: Path) -> None:
    """Everybody of the table has a twin in it, mostly not drawn: nobody is singled out."""
    twins = pd.DataFrame({"a": np.repeat(np.arange(200), 2), "b": 1.5})
    twins.to_csv(tmp_path / "real.csv", index=False)
    twins.sample(frac=1, random_state=0).to_csv(tmp_path / "copy.csv", index=False)
    control = pd.DataFrame({"a": np.arange(1000, 1040), "b": 1.5})
    control.to_csv(tmp_path / "control.csv", index=False)
    names = {"original": "real", "released": "copy", "control": "control"}
    built = build("own_release", {what: str(tmp_path / f"{n}.csv") for what, n in names.items()})
    one = released_tables.publications(built, np.random.default_rng(0), 1)[0]
    drawn = one.people[one.inside, 0]
    assert len(np.unique(drawn)) > 30  # most are alone among those drawn
    channel = hartley.measure(hartley.play("row_predicates", built, seed=0), redraws=1)
    assert channel.bits.value == 0.0 and channel.metrics["attack_rate"] == 0.0
    twins.drop_duplicates().to_csv(tmp_path / "real.csv", index=False)
    twins.drop_duplicates().to_csv(tmp_path / "copy.csv", index=False)
    built = build("own_release", {what: str(tmp_path / f"{n}.csv") for what, n in names.items()})
    assert bits("row_predicates", built) > 0.9
    # Two rows of one person are one person.
    for what, first in (("real", 0), ("copy", 0), ("control", 1000)):
        table = pd.DataFrame({"a": first + np.repeat(np.arange(100), 2), "b": 1.5})
        if what != "copy":
            table["who"] = table["a"]
        table.to_csv(tmp_path / f"{what}.csv", index=False)
    paths = {what: str(tmp_path / f"{n}.csv") for what, n in names.items()}
    assert bits("row_predicates", build("own_release", {**paths, "cluster": "who"})) > 0.9


def test_a_missing_sensitive_number_stays_missing(tmp_path: Path) -> None:
    paths = {}
    for what, seed in (("original", 0), ("released", 0), ("control", 1)):
        table = people(300, seed)
        table.loc[table.index % 5 == 0, "children"] = np.nan
        paths[what] = str(tmp_path / f"{what}.csv")
        table.to_csv(paths[what], index=False)
    built = build("own_release", {**paths, "sensitive": "children", "known": "hours,town"})
    columns = hartley_columns(built)
    names = [column.name for column in columns]
    assert "children is missing" not in names
    place = names.index("children")
    assert columns[place].titles == ("0", "1", "2", "3", "(missing)")
    codes = np.asarray(built.extra["people"].x)[:, place]
    raw = people(300, 0).children.to_numpy(dtype=float)
    raw[::5] = 4
    assert np.array_equal(codes, raw)
    # Whoever knows the hours knows where there are none.
    assert built.facts["known"] == "hours, town, hours is missing"
    assert 0 < bits("nearest_value", built) <= 1


def test_other_rows_of_a_person_are_no_wrong_answer(tmp_path: Path) -> None:
    """Four visits each that are alike in what is known: whoever finds a person finds all four."""
    paths = {}
    for what, first in (("original", 0), ("released", 0), ("control", 1000)):
        who = first + np.repeat(np.arange(64), 4)
        table = pd.DataFrame({"a": who.astype(float), "day": np.tile(np.arange(4), 64), "who": who})
        table["id"] = [f"p{first}-{k}" for k in range(256)]
        if what == "released":
            table = table.sample(frac=1, random_state=0).drop(columns="who")
        paths[what] = str(tmp_path / f"{what}.csv")
        table.to_csv(paths[what], index=False)
    built = build("own_release", {**paths, "row_id": "id", "cluster": "who", "known": "a"})
    channel = hartley.measure(hartley.play("nearest_row", built, seed=0), redraws=1)
    assert channel.bits.n == 64 and channel.metrics["linked"] == 1.0
    assert channel.ceiling.value == pytest.approx(6.0) and channel.bits.value > 5.9
    one = released_tables.publications(built, np.random.default_rng(0), 1)[0]
    assert one.candidates is not None and np.isin(one.rows, one.candidates).all()
    owners = np.asarray(one.release.x)[one.candidates, 0]
    assert sorted(owners) == list(range(64))
