"""``hartley new attack`` copies a plugin's attack where Hartley has none on the game."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hartley import catalog
from hartley.cli.new import written
from hartley.core.errors import UsageError


def test_a_plugin_s_attack_is_copied_where_hartley_has_none(monkeypatch):
    plugin = replace(catalog.find("attack", "loss_threshold"), origin="plugin extra")
    monkeypatch.setattr(catalog, "entries", lambda kind: [plugin])
    assert "copied from loss_threshold" in written("mine", "membership")
    monkeypatch.setattr(catalog, "entries", lambda kind: [])
    with pytest.raises(UsageError, match="there is no attack on membership yet"):
        written("mine", "membership")
