"""A model's server, and guards in front of it."""

from __future__ import annotations

import pytest
from tests.guard.model_server import ModelServer
from tests.guard.served import Served, config_at


@pytest.fixture
def model():
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def serving(tmp_path, model):
    running = []

    def start(change=lambda ledger: ledger, **options):
        running.append(Served(config_at(tmp_path, model.port, **options), change))
        return running[-1]

    yield start
    for one in running:
        one.close()
