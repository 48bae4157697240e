"""The catalogue lists what is there, runs nothing, and loses nothing without a word."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hartley import catalog
from hartley.catalog.find_sources import Source
from hartley.catalog.parse_declarations import read
from hartley.core import Term, attack
from hartley.core.errors import UnknownName, UsageError
from hartley.core.fields import declared_fields
from hartley.core.parts import RECORDS, Game
from hartley.core.taxonomy import AXES, EDITION, Access, Modality

PART = '''
from hartley.core import {imports}
from hartley.games.membership.membership import membership as m

@attack(game=m, access={access},
        term=Term.SIGNAL, modalities={modalities}, paper="hartley", tags=("a:1:x",))
def {name}(view, rng, *, depth: int = 2):
    """Do a thing.

    More of it.
    """
'''


def part(
    name="fresh",
    access="Access.SCORES | Access.TRAIN",
    modalities="(Modality.AUDIO, Modality.VISION)",
):
    return PART.format(
        imports="Access, Modality, Term, attack, ALL",
        name=name,
        access=access,
        modalities=modalities,
    )


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install modules as a distribution ``extra``; return the catalogue's entries of it."""

    def install(points: dict[str, str], **modules: str) -> list[catalog.Entry]:
        package = tmp_path / "extra_pkg"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("raise RuntimeError('the catalogue ran me')\n")
        for name, source in modules.items():
            (package / f"{name}.py").write_text(source)
        info = tmp_path / "extra-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
        lines = "".join(f"{k} = {v}\n" for k, v in points.items())
        (info / "entry_points.txt").write_text(f"[hartley.parts]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path)
        catalog.refresh()
        return [e for e in catalog.entries() if e.origin == "plugin extra"]

    yield install
    monkeypatch.undo()
    catalog.refresh()


def test_the_house_is_listed_without_importing_a_part():
    code = (
        "import sys; from hartley import catalog; found = catalog.entries(); "
        "print(sum(e.kind == 'attack' for e in found), "
        "'numpy' in sys.modules, any(m.startswith('hartley.attacks') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, numpy, attacks = done.stdout.split()
    assert int(count) >= 8 and numpy == "False" and attacks == "False"


@pytest.mark.parametrize("entry", catalog.entries(), ids=lambda e: f"{e.kind}-{e.name}")
def test_what_is_read_is_what_is_declared(entry):
    """The syntax tree and the imported part agree in every field."""
    assert not entry.error
    part = catalog.load(entry.kind, entry.name)
    assert entry.summary == part.summary
    for field in declared_fields(RECORDS[entry.kind]):
        if field.listed_as and (entry.kind, field.name) != ("game", "axis"):
            value = getattr(part, field.name)
            assert getattr(entry, field.listed_as) == _as_read(value), field.name
    if entry.kind == "attack":
        assert entry.axis == part.game.axis_in() and entry.flow == part.game.flow
    if entry.kind == "game":
        assert entry.game == part.name and entry.axis == part.axis_in()
    if entry.kind == "defense":
        for game, modality in itertools.product(entry.protects, Modality):
            assert entry.covers(game, modality) == part.covers(game, modality)


def _as_read(value):
    """A declared value as the syntax tree spells it."""
    if isinstance(value, Mapping):
        return tuple(value.items())
    if isinstance(value, Access):
        return value.words
    if isinstance(value, Modality):
        return (str(value),)
    if isinstance(value, tuple):
        return tuple(map(str, value))
    return value.name if isinstance(value, Game) else value


def test_a_plugin_is_read_and_not_run(site):
    (entry,) = site({"one": "extra_pkg.fine"}, fine=part())
    assert (entry.kind, entry.name, entry.game) == ("attack", "fresh", "membership")
    assert entry.axis == "model_to_data" and entry.flow == "inferring" and entry.term == "signal"
    assert entry.access == ("scores", "train") and entry.modalities == ("audio", "vision")
    assert entry.summary == "Do a thing." and entry.tags == ("a:1:x",) and not entry.error
    with pytest.raises(UsageError, match="cannot be imported: RuntimeError: the catalogue ran me"):
        catalog.load("attack", "fresh")


def test_a_package_brings_all_its_modules(site):
    found = site({"all": "extra_pkg"}, fine=part(), other=part("second", modalities="ALL"))
    assert {e.name for e in found} == {"fresh", "second"}
    assert next(e for e in found if e.name == "second").modalities == tuple(map(str, Modality))


@pytest.mark.parametrize(
    ("written", "modalities"),
    [
        ("hartley.Modality.TABULAR", ("tabular",)),
        ("(hartley.Modality.AUDIO, hartley.core.Modality.VISION)", ("audio", "vision")),
        ("hartley.ALL", tuple(map(str, Modality))),
    ],
)
def test_an_enum_is_read_however_it_is_reached(site, written, modalities):
    (entry,) = site({"one": "extra_pkg.fine"}, fine=part(modalities=written))
    assert entry.modalities == modalities and not entry.error


@pytest.mark.parametrize(
    ("lines", "written", "modalities"),
    [
        ("FLAT = hartley.Modality.TABULAR", "(FLAT,)", ("tabular",)),
        ("FLAT: Modality = Modality.TABULAR", "(FLAT, Modality.AUDIO)", ("tabular", "audio")),
        ("A = Modality.AUDIO\nBOTH = (A, Modality.VISION)", "BOTH", ("audio", "vision")),
        ("EVERY = ALL", "EVERY", tuple(map(str, Modality))),
    ],
)
def test_an_alias_is_read_as_what_it_stands_for(site, lines, written, modalities):
    source = part(modalities=written).replace("\n@attack", f"\n{lines}\n\n@attack")
    (entry,) = site({"one": "extra_pkg.fine"}, fine=source)
    assert entry.modalities == modalities and not entry.error


@pytest.mark.parametrize(
    ("lines", "written", "words"),
    [
        ("", "(FLAT,)", "'FLAT' in line 6 is not a literal"),
        ("FLAT = Modality.AUDIO\nFLAT = Modality.VISION", "(FLAT,)", "'FLAT' in line 9 is not a"),
        ("A = B\nB = A", "(A,)", "'A' in line 6 is not a literal"),
        (
            "from elsewhere import FLAT",
            "(FLAT,)",
            "modalities must be of vision, .*, got 'FLAT' in line 8",
        ),
        ("", "(Modality.TABLE,)", "modalities must be of vision, .*, got 'table' in line 6"),
    ],
)
def test_a_name_that_cannot_be_read_is_refused_and_not_read_as_a_word(site, lines, written, words):
    source = part(modalities=written).replace(
        "\n@attack", f"\n{lines}\n\n@attack" if lines else "\n@attack"
    )
    (entry,) = site({"one": "extra_pkg.fine"}, fine=source)
    assert re.search(words, entry.error), entry.error
    with pytest.raises(UsageError, match="cannot be used"):
        catalog.find("attack", entry.name)


@pytest.mark.parametrize(
    ("points", "modules", "words"),
    [
        ({"one": "extra_pkg.gone"}, {}, "names 'extra_pkg.gone', which cannot be found"),
        ({"one": "no_such_package.x"}, {}, "which cannot be found"),
        ({"one": "extra_pkg.bad"}, {"bad": "def f(:\n"}, r"SyntaxError: .*\(line 1\)"),
        (
            {"one": "extra_pkg.odd"},
            {"odd": part(modalities="tuple(x)")},
            "'tuple(.*)' in line .* literal",
        ),
    ],
)
def test_a_broken_plugin_stands_in_the_list_with_its_error(site, points, modules, words):
    (entry,) = site(points, **modules)
    assert re.search(words, entry.error)
    if entry.kind == "attack":
        with pytest.raises(UsageError, match="cannot be used"):
            catalog.find("attack", entry.name)


def test_a_name_that_is_taken_twice_names_both_origins(site):
    site({"one": "extra_pkg.twin"}, twin=part("loss_threshold"))
    with pytest.raises(UsageError, match=r"hartley \(hartley\.attacks.*plugin extra \(extra_pkg"):
        catalog.load("attack", "loss_threshold")


DEFENSE = """
from hartley import Modality, Scene, Term, defense

@defense(
    term=Term.NOISE,
    stage="output",
    protects=("membershp",),
    modalities=(Modality.VISION,),
    paper="hartley",
    strongest={},
)
def veil(scene: Scene, rng) -> Scene:
    'Hide nothing.'
    return scene
"""


def test_a_defense_of_a_game_that_is_not_there(site):
    (entry,) = site({"one": "extra_pkg.veil"}, veil=DEFENSE)
    assert entry.error == "protects must name games, got 'membershp'; did you mean membership?"


def test_an_attack_on_a_game_that_is_not_there(site):
    (entry,) = site({"one": "extra_pkg.lost"}, lost=part().replace("membership as m", "chess as m"))
    assert entry.error == "there is no game named 'chess'"


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownName, match="did you mean loss_threshold"):
        catalog.find("attack", "los_treshold")
    with pytest.raises(UnknownName, match="see `hartley list games`"):
        catalog.find("game", "zzz")


def test_an_absent_library_says_which_extra_brings_it():
    error = ModuleNotFoundError("no", name="opacus.layers")
    assert "pip install 'hartley[dp]'" in str(catalog.missing(error))
    assert catalog.missing(ModuleNotFoundError("no", name="strange")) is None


def test_the_matrix_has_every_cell_and_a_reason_for_each_empty_one():
    cells = catalog.matrix()
    classes = {*AXES[EDITION], *(e.cls for e in catalog.entries("game"))}
    assert len(AXES[EDITION]) == 14 and len(cells) == len(classes) * len(Modality)
    for cell in cells:
        assert bool(cell["attacks"]) != bool(cell["reason"]), cell
    vision = next(c for c in cells if (c["class"], c["modality"]) == ("membership", "vision"))
    assert "loss_threshold" in vision["attacks"]


def test_poisoning_and_evasion_are_played_or_excused_in_every_modality_by_every_part():
    games = {name: catalog.find("game", name) for name in ("poisoning", "evasion")}
    for part in (*catalog.entries("attack"), *catalog.entries("defense")):
        for game in {part.game, *part.protects} & {*games}:
            fits = part.modalities if part.kind == "attack" else [
                m for m in Modality if part.covers(game, m)
            ]  # fmt: skip
            excused = {name.removeprefix(f"{game} "): why for name, why in part.unfit}
            assert {*fits, *excused} >= {*games[game].modalities}, (part.name, game)
            assert not {*fits} & {*excused} and all(excused.values()), part.name
    assert "words have no norm" in dict(games["evasion"].unfit)["language"]
    cells = {(c["class"], c["modality"]): c for c in catalog.matrix()}
    cell = cells["poisoning", "graph"]
    assert "fine_pruning" in cell["unfit"] and not {*cell["unfit"]} & {*cell["attacks"]}


@pytest.mark.parametrize("unfit", [{"vision": "it fits"}, {"audio": ""}, {"smell": "no nose"}])
def test_an_excuse_is_for_a_modality_that_is_left_out_and_has_words(unfit):
    def quiet(view, rng):
        """Read nothing."""

    with pytest.raises(TypeError, match="attack quiet: unfit must say why each of some of lang"):
        attack(
            game=catalog.load("game", "membership"),
            access=Access.SCORES,
            term=Term.NOISE,
            modalities=(Modality.VISION,),
            unfit=unfit,
            paper="hartley",
        )(quiet)


def test_the_package_is_where_the_house_is():
    assert (Path(catalog.__file__).parent.parent / "attacks").is_dir()


def test_reading_a_part_down_to_its_docstring_tells_as_much_as_reading_it_whole():
    from hartley.catalog.find_sources import built_in
    from hartley.catalog.parse_declarations import read

    sources = list(built_in())
    assert len(sources) > 90
    for source in sources:
        assert list(read(source)) == list(read(replace(source, kind=None))), source.module


def test_a_file_of_the_house_is_parsed_once_and_again_when_it_was_changed(tmp_path, monkeypatch):
    path = tmp_path / "fresh.py"
    path.write_text(part())
    source = Source("hartley.attacks.fresh", path, "hartley", "attack")
    monkeypatch.setattr(catalog, "built_in", lambda: iter([source]))
    parsed = []
    monkeypatch.setattr(catalog, "read", lambda source: parsed.append(source) or read(source))
    monkeypatch.setattr(catalog, "plugins", lambda broken: iter(()))

    def summary():
        catalog.refresh()
        (entry,) = (entry for entry in catalog.entries() if entry.name == "fresh")
        return entry.summary

    try:
        assert [summary(), summary()] == ["Do a thing."] * 2 and parsed == [source]
        path.write_text(part().replace("Do a thing.", "Do another thing."))
        assert summary() == "Do another thing." and parsed == [source] * 2
        path.unlink()
        assert summary() == "", "it is listed with the reason why it cannot be read"
    finally:
        monkeypatch.undo()
        catalog.refresh()


def test_a_new_field_is_one_edit(tmp_path):
    """One line in a copy of the table, and a plugin's declaration, its entry and `show` have it."""
    package = Path(catalog.__file__).parent.parent
    copy = tmp_path / "hartley"
    copy.mkdir()
    for item in package.iterdir():
        if item.name != "core":
            (copy / item.name).symlink_to(item)
    shutil.copytree(package / "core", copy / "core")
    table = copy / "core" / "parts.py"
    line = '    paper: Paper = field(metadata=about("``arXiv:…``'
    head, tail = table.read_text().split(line, 1)
    new = '    colour: str = field(default="grey", metadata=about("its colour"))\n'
    table.write_text(head + new + line + tail)
    (tmp_path / "tinted.py").write_text(
        part("tinted").replace("@attack(", "@attack(colour='red', ")
    )
    code = """
import sys
from pathlib import Path
from hartley import catalog, core
from hartley.catalog.find_sources import Source
from hartley.catalog.parse_declarations import read
import tinted
(entry,) = read(Source("tinted", Path(tinted.__file__), "plugin x"))
print(tinted.tinted.colour, entry.colour, entry.as_json()["colour"])
print("colour: its colour" in core.attack.__doc__)
try:
    core.attack(color="red")
except TypeError as error:
    print(error)
from hartley.cli.main import run
run(["show", "lira"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["red red red", "True"]
    assert lines[2] == "attack takes no keyword 'color'; did you mean colour?"
    assert "  colour      grey" in lines


def test_a_mistaken_keyword_is_named_before_anything_is_imported(site):
    (entry,) = site({"one": "extra_pkg.fine"}, fine=part().replace("tags=", "tag="))
    assert entry.error == "attack takes no keyword 'tag'; did you mean tags? (line 5)"
    (entry,) = site({"one": "extra_pkg.fine"}, fine=part().replace('paper="hartley", ', ""))
    assert entry.error == "attack must declare paper (line 5)"
    with pytest.raises(AttributeError, match="no part declares 'fits'"):
        _ = entry.fits
