"""The bundled novel, and the dialogue reader against a YAML library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hartley.core.errors import UnknownName
from hartley.data import language


def test_the_bundled_corpus_is_english_letters() -> None:
    prose = language.corpus()
    assert len(prose) > 400_000 and set(prose) == set(language.ALPHABET) and "  " not in prose
    letters = [c for c in prose if c != " "]
    assert 0.12 < letters.count("e") / len(letters) < 0.14


def test_a_dialogue_file_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text(
        "categories:\n- a\n\nconversations:\n- - Is it\n    long?\n  - 'It''s so.'\n\n"
        '- - Code?\n  - |\n    print\n- - "Say \\"hi\\""\n  - Hi # no\n'
    )
    assert language.conversations(file) == [
        ("Is it long?", "It's so."),
        ('Say "hi"', "Hi"),
    ]


@pytest.mark.pack
def test_dialogues_against_yaml(need_pack: Callable[[str], Path]) -> None:
    yaml = pytest.importorskip("yaml")
    found = 0
    for path in sorted(need_pack("dialogue").glob("*.yml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        truth = {tuple(map(str, t)) for t in document["conversations"] if isinstance(t, list)}
        mine = language.conversations(path)
        assert set(mine) <= truth, path.name
        found += len(mine)
    assert found > 1500 and len(language.dialogues()) > 700


@pytest.mark.pack
def test_more_novels(need_pack: Callable[[str], Path]) -> None:
    need_pack("austen")
    assert language.novel("emma").startswith("EMMA")
    with pytest.raises(UnknownName, match="emma"):
        language.novel("ema")
