import socket

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.data.photos import PHOTOS, carriers


def test_crops_are_real_varied_and_need_no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("carriers() reached for the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = carriers()
    assert found.x.shape == (48, 3, 256, 256)
    assert found.x.dtype == np.float32
    assert found.x.min() >= 0
    assert found.x.max() <= 1
    # Eight-bit pixels: real photographs, not noise; and no crop comes twice.
    assert np.allclose(found.x * 255, np.round(found.x * 255), atol=1e-3)
    assert len({row.tobytes() for row in found.x}) == 48
    # Neighbouring pixels of a photograph agree; of noise they do not.
    near, far = found.x[:, :, :, :-1].reshape(48, -1), found.x[:, :, :, 1:].reshape(48, -1)
    agree = [np.corrcoef(a, b)[0, 1] for a, b in zip(near, far, strict=True)]
    assert np.median(agree) > 0.9
    assert set(found.y) == set(range(len(PHOTOS)))


def test_the_first_crops_are_from_different_photographs():
    assert len(set(carriers(len(PHOTOS)).y)) == len(PHOTOS)


def test_too_many_crops_is_one_clear_line():
    with pytest.raises(UsageError, match="at most 48"):
        carriers(1000)
