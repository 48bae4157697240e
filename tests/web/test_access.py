"""Who may read: the token, the cookie, the names of the server, and GET alone."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from hartley.core.errors import UsageError
from hartley.web.serving import access_of, listening, opening, start_address


def ask(served, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_without_the_token_nothing_is_read(served):
    for path in ("/", "/runs/new", "/runs/new/progress", "/compare", "/words", "/runs/none"):
        answer, text = ask(served, path)
        assert answer.status == 403, path
        assert "Open the address that hartley serve printed" in text
        assert "entropy" not in text
    assert ask(served, "/?token=wrong")[0].status == 403
    assert ask(served, "/?token=%ff%00")[0].status == 403
    assert ask(served, "/", Cookie=f"hartley-{served.port}=wrong")[0].status == 403


def test_the_start_address_sets_a_strict_cookie_and_drops_the_token(served):
    answer, _ = ask(served, f"/?token={served.token}&sort=id")
    assert answer.status == 303 and answer.getheader("Location") == "/?sort=id"
    cookie = answer.getheader("Set-Cookie")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    sent = cookie.split(";")[0]
    assert ask(served, "/", Cookie=sent)[0].status == 200
    assert ask(served, f"/words?token={served.token}", Cookie=sent)[0].status == 303
    assert ask(served, f"//evil.example/x?token={served.token}")[0].getheader("Location") in (
        "/evil.example/x",
        "/x",
    )


def cookie(served):
    return f"hartley-{served.port}={served.token}"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "", "["])
def test_another_name_is_refused(served, host):
    name = host.format(port=served.port)
    answer, text = ask(served, "/", Host=name, Cookie=cookie(served))
    assert answer.status in (400, 421) and "entropy" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_names_of_this_machine_are_taken(served, host):
    answer, _ = ask(served, "/", Host=f"{host}:{served.port}", Cookie=cookie(served))
    assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_taken(served, method):
    answer, _ = ask(served, "/runs/new", method, Cookie=cookie(served))
    assert answer.status in (400, 405)


def test_head_answers_without_a_body(served):
    answer, text = ask(served, "/", "HEAD", Cookie=cookie(served))
    assert answer.status == 200 and text == ""


def test_pages_of_another_site_may_link_but_not_fetch(served):
    fetched = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
    assert ask(served, "/", Cookie=cookie(served), **fetched)[0].status == 403
    linked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(served, "/", Cookie=cookie(served), **linked)[0].status == 200


@pytest.mark.parametrize("path", ["/", "/runs/new", "/runs/none", "/static/serve.js", "/nothing"])
def test_every_answer_carries_the_policies(served, path):
    answer, text = ask(served, path, Cookie=cookie(served))
    policy = answer.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert answer.getheader("Cache-Control") == "no-store"
    assert " style=" not in text and "onclick" not in text and "//cdn" not in text


def test_tokens_are_drawn_anew():
    tokens = {access_of("127.0.0.1", 1, token=True).token for _ in range(20)}
    assert len(tokens) == 20 and min(map(len, tokens)) >= 32


def test_without_a_token_only_this_machine_may_read():
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert access_of(host, 80, token=False).token is None
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org", "128.0.0.1"):
        with pytest.raises(UsageError, match="only this machine reaches"):
            access_of(host, 80, token=False, names=["me"])


def test_an_address_for_all_needs_a_name():
    with pytest.raises(UsageError, match="there must be a --name"):
        access_of("0.0.0.0", 8417, token=True)
    access = access_of("0.0.0.0", 8417, token=True, names=["Box.lan"])
    assert access.names == {"box.lan:8417", "box.lan"}  # the latter by a proxy in front of it
    assert start_address(access, "0.0.0.0", 8417, ["Box.lan"]).startswith("http://Box.lan:8417/?t")
    assert "[::1]:9" in start_address(access_of("::1", 9, token=False), "::1", 9)


@pytest.mark.parametrize("host", ["0", "0.0", "0x0", "0.0.0.0", "::", "0:0:0::0", "::0"])
def test_every_spelling_of_all_addresses_needs_a_name(host):
    with pytest.raises(UsageError, match="there must be a --name"):
        access_of(host, 8417, token=True)


def test_a_name_is_a_host_with_or_without_a_port():
    named = {"Box.lan:443": {"box.lan:443"}, "[fd00::1]": {"[fd00::1]", "[fd00::1]:8417"}}
    for name, names in named.items():
        assert access_of("0.0.0.0", 8417, token=True, names=[name]).names == names
    access = access_of("0.0.0.0", 8417, token=True, names=["box:443"])
    assert start_address(access, "0.0.0.0", 8417, ["box:443"]).startswith("http://box:443/?token=")
    for odd in ("", "a b", "http://box", "box/x", "fd00::1", "box:", "b\nx", "*", "münchen"):
        with pytest.raises(UsageError, match="--name must be a host as a browser names it"):
            access_of("0.0.0.0", 8417, token=True, names=[odd])
    with pytest.raises(UsageError, match="--host must be a host name or an address"):
        access_of("", 8417, token=True, names=["box"])


def test_a_page_of_another_site_leads_here_with_the_token(served):
    """Its request carries no strict cookie, nor do redirects of it: a page here sends one."""
    linked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    answer, page = ask(served, f'/runs/%22%3Ex?token={served.token}&q="><b>', **linked)
    assert answer.status == 200 and "Set-Cookie" in answer.headers
    assert 'content="0;url=/runs/%22%3Ex?q=%22%3E%3Cb%3E"' in page and served.token not in page
    assert answer.getheader("Content-Security-Policy").startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path", ["/runs/caf%C3%A9", "/runs/a%3Fb%23c", "/runs/%0d%0aX-Odd:1", "/runs/%ff", "/%E2%80%AE"]
)
def test_a_token_leaves_any_address_as_it_was(served, path):
    answer, _ = ask(served, f"{path}?token={served.token}")
    assert answer.status == 303 and answer.getheader("X-Odd") is None
    assert answer.getheader("Location").lower() == path.lower()


def test_what_is_no_request_is_refused_and_not_printed(served, capfd):
    for line in (b"\x1b[2J\r\n\r\n", b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n", b"GET\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(line)
            raw.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: raw.recv(4096), b""))
            assert b"entropy" not in answer and b" 200 " not in answer[:20]
    assert "\x1b" not in "".join(capfd.readouterr())


def test_a_page_that_takes_long_does_not_hold_the_end(monkeypatch):
    from hartley.web import serving

    class Slow:
        def __init__(self, ends):
            self.ends = ends

        def wait(self, seconds):
            assert seconds <= 5
            return self.ends

    left = []
    monkeypatch.setattr(serving.os, "_exit", left.append)
    serving.leave(Slow(True))
    assert left == []
    serving.leave(Slow(False))
    assert left == [0]


def test_the_start_file_is_of_this_user_alone():
    with opening("http://127.0.0.1:1/?token=a&b") as place:
        page = Path(url2pathname(urlparse(place).path))
        assert page.parent.stat().st_mode & 0o077 == 0
        assert "url=http://127.0.0.1:1/?token=a&amp;b" in page.read_text()
    assert not page.parent.exists()


def test_a_port_in_use_is_one_line():
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port must be free, got {port} of 127.0.0.1"):
            listening("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"--port must be in 0..65535, got 65536"):
        listening("127.0.0.1", 65536)
    with pytest.raises(UsageError, match=r"cannot listen at 203.0.113.7"):
        listening("203.0.113.7", 0)


def test_the_command_serves_until_it_is_ended(filled):
    code = "from hartley.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", "--store", str(filled), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        address = process.stdout.readline().decode().strip()
        port, token = int(address.split(":")[2].split("/")[0]), address.split("token=")[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/", headers={"Cookie": f"hartley-{port}={token}"})
        assert connection.getresponse().status == 200
        connection.close()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0 and b"ended" in errors and b"Traceback" not in errors
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port))
