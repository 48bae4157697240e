"""A run says what it was computed on: as torch has it, and never by a guess."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from hartley.engine.assess import assess, remeasure
from hartley.engine.plan.plan import Plan
from hartley.engine.run import player
from hartley.engine.run.devices import devices_used

PLAN = Plan(scene="live:membership", only=("loss_threshold",), workers=0)


def _torch(held: tuple[int, ...], *, started: bool = True) -> SimpleNamespace:
    """A torch that has ``held`` so many bytes on each of its devices."""
    cuda = SimpleNamespace(
        is_initialized=lambda: started,
        device_count=lambda: len(held),
        max_memory_allocated=lambda index: held[index],
        get_device_name=lambda index: f"card {index}",
    )
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize(
    ("torch", "used"),
    [
        (None, ["cpu"]),
        (_torch((512,), started=False), ["cpu"]),
        (_torch((0, 0)), ["cpu"]),
        (_torch((0, 512)), ["cpu", "cuda:1 (card 1)"]),
    ],
)
def test_a_device_is_named_where_torch_has_held_something_on_it(monkeypatch, torch, used):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    if torch is not None:
        monkeypatch.setitem(sys.modules, "torch", torch)
    assert devices_used() == used
    assert ("torch" in sys.modules) == (torch is not None), "nothing is imported to find out"


def test_a_run_names_the_devices_of_whoever_played_it(monkeypatch, tmp_path):
    plain = assess(PLAN, store=tmp_path / "plain")
    assert plain["host"]["device"] == "cpu"
    monkeypatch.setattr(player, "devices_used", lambda: ["cpu", "cuda:0 (card 0)"])
    document = assess(PLAN, store=tmp_path / "card")
    assert document["host"]["device"] == "cpu, cuda:0 (card 0)"
    monkeypatch.undo()
    folder = tmp_path / "card" / document["id"]
    assert remeasure(folder)["host"]["device"] == "cpu, cuda:0 (card 0)", "it was not played anew"
