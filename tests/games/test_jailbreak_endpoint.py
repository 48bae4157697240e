"""The recipe of docs/own_chat.md, on a server that drops, limits and cuts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.targets.openai_server import Backend, serving

from hartley import catalog
from hartley.core import Modality
from hartley.core.errors import TransientError, UsageError
from hartley.engine.run.play import play
from hartley.games.jailbreak.jailbreak import live
from hartley.games.jailbreak.live_jailbreak import TEMPLATE, decode, encode
from hartley.games.withheld_secrets import Withheld
from hartley.kit.language.chat_template import asked
from hartley.kit.retry import Backoff
from hartley.targets.http import endpoint

DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = [
    program
    for page in ("jailbreak.md", "own_chat.md")
    for program in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)
]
SMALL = {"rounds": 2, "questions": 4, "ordinary": 10}


def _backend(faults: float) -> tuple[Backend, Any]:
    """The scripted victim, asked by what the messages say; and its scene."""
    scene = live(Modality.LANGUAGE, np.random.default_rng(0))
    victim = scene.model

    def generate(tokens: Any, new: int, seed: int) -> Any:
        texts = [text.split("archive.", 1)[-1] for text in decode(tokens)]
        rendered = encode([TEMPLATE.render(asked(text)) for text in texts])
        return victim.generate(rendered, new, seed)

    served = victim.with_(generate=generate)
    return Backend(victim.codec, {"mine": served}, faults=faults, timeouts=0), scene


def test_the_recipe_of_the_page_is_played_on_a_bad_line(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    (recipe,) = [p for p in PROGRAMS if "endpoint" in p]
    backend, live_scene = _backend(0.3)
    part = live_scene.part(Withheld)
    names = ("questions", "secrets", "openings", "public_pairs", "benign", "benign_answers")
    lists = {name: getattr(part, name) for name in (*names, "near", "refusals")}
    Path("lists.json").write_text(json.dumps(lists))
    quick = Backoff(attempts=12, first=0.002, longest=0.02)
    monkeypatch.setattr(
        "hartley.targets.http.endpoint", lambda *a, **k: endpoint(*a, **k, backoff=quick)
    )
    space: dict[str, Any] = {}
    exec(recipe, space)
    with serving(backend) as url:
        scene = space["scene"](url=url, model="mine")
        trials = play(
            catalog.load("attack", "template_agent"), scene, game_params=SMALL, params={"depth": 2}
        )
    assert trials.metrics["asr_at_tries"] == 1.0
    assert sum(count for fault, count in backend.met.items() if fault) > 10
    # The deal asks the 48 plain questions that are measured and 10 ordinary ones; two conversations
    # of one call of the attacker are alike, and such are asked once.
    asks = trials.spec.uses + trials.cost["judge_queries"] * 2 + 48 + 10
    assert backend.answered == asks - 1
    with pytest.raises(UsageError, match="allow"):
        endpoint("http://example.org/v1", "mine", scores=False)


def test_what_fails_every_time_fails_the_row_and_is_not_a_refusal() -> None:
    _, scene = _backend(0.0)
    victim, many = scene.model, 64 + 10

    def chat(conversations: Any, new: int, seed: int) -> list[str]:
        nonlocal many
        many -= len(conversations)
        if many < 0:
            raise TransientError("the endpoint did not answer in time")
        return list(victim.calls["chat"](conversations, new, seed))

    broken = replace(scene, model=victim.with_(chat=chat))
    with pytest.raises(TransientError, match="in time"):
        play(catalog.load("attack", "best_of_n"), broken, game_params=SMALL)


def test_the_forecast_of_the_page_runs(capsys) -> None:
    (program,) = [p for p in PROGRAMS if "rate_law" in p]
    exec(program, {})
    estimate, forecast = capsys.readouterr().out.splitlines()
    assert 0 < float(estimate) < 1 and forecast.startswith("Forecast(value=0.")
