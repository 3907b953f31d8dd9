"""The page is shown to browsers, is made of its own files alone, and nothing else gets in."""

import asyncio
import configparser
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from ml_lstm.serving.server import page_files
from ml_lstm.serving.server.page_files import Page
from ml_lstm.serving.server.recorder import Recorder
from ml_lstm.serving.server.rest import Callers, rest_app

ROOT = Path(page_files.__file__).parents[3]
FILES = sorted(Path(page_files.__file__).with_name("page").iterdir())
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class NoModels:
    """A store of none."""

    def names(self):
        return []


def get(page, path="/", headers=BROWSER):
    """What the application answers: status, headers and content."""
    sent = []

    async def ask():
        app = rest_app(NoModels(), None, Recorder(NoModels()), Callers([]), page)
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "client": ("127.0.0.1", 1)}
        scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b""}

        await app(scope, receive, send)

    asyncio.run(ask())
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def folder(tmp_path):
    """Of a page, with what an editor leaves beside it."""
    for name in ("index.html", "main.js", "style.css", "icon.svg", "main.js~", ".main.js.swp"):
        (tmp_path / "page" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "page" / name).write_text(f"this is {name}")
    (tmp_path / "secret.js").write_text("secret")
    return tmp_path / "page"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER["Accept"], "text/html; charset=utf-8"),
        ("text/html; q=0.9", "text/html; charset=utf-8"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/htmlish", "application/json"),
        (None, "application/json"),
    ],
)
def test_a_browser_gets_the_page_and_others_the_overview(folder, accept, kind):
    status, headers, content = get(Page(folder), headers={"Accept": accept} if accept else {})
    assert status == 200
    assert (headers["content-type"], headers["vary"]) == (kind, "Accept")
    assert content == b"this is index.html" if "html" in kind else content.startswith(b'{"server"')


def test_without_a_page_everybody_gets_the_overview(folder):
    assert get(None)[1]["content-type"] == "application/json"
    assert get(None, "/page/main.js")[0] == 404


@pytest.mark.parametrize(
    "name",
    [
        "main.js~",
        ".main.js.swp",
        "index.html",
        "other.js",
        "",
        "../secret.js",
        "..",
        "/etc/passwd",
        "..%2Fsecret.js",
        "main.js/",
        "main.js\0",
        "x/../main.js",
    ],
)
def test_only_the_pages_files_are_answered(folder, name):
    status, _, content = get(Page(folder), f"/page/{name}")
    assert status == 404
    assert b"this is" not in content and b"secret" not in content.replace(b"secret.js", b"")


def test_files_have_their_types(folder):
    kinds = {
        name: get(Page(folder), f"/page/{name}")[1]["content-type"] for name in ("main.js", "style.css", "icon.svg")
    }
    assert kinds == {
        "main.js": "text/javascript; charset=utf-8",
        "style.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }


def test_what_a_browser_has_is_not_sent_again_until_it_changes(folder):
    _, first, _ = get(Page(folder), "/page/main.js")
    assert first["cache-control"] == "no-cache"
    for tag in (first["etag"], f'"other", W/{first["etag"]}', "*"):
        status, headers, content = get(Page(folder), "/page/main.js", {"If-None-Match": tag})
        assert (status, content, headers["etag"]) == (304, b"", first["etag"])
        assert headers["content-security-policy"] == first["content-security-policy"]
    assert get(Page(folder), "/page/style.css", {"If-None-Match": first["etag"]})[0] == 200
    changed = (folder / "main.js").stat()
    (folder / "main.js").write_text("that is main.js")  # as long
    os.utime(folder / "main.js", ns=(changed.st_atime_ns, changed.st_mtime_ns))
    status, headers, content = get(Page(folder), "/page/main.js", {"If-None-Match": first["etag"]})
    assert (status, content) == (200, b"that is main.js")
    assert headers["etag"] != first["etag"]


def test_nothing_from_elsewhere_may_run_or_frame_it(folder):
    for path in ("/", "/page/main.js"):
        _, headers, _ = get(Page(folder), path)
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        for part in ("script-src", "style-src", "connect-src"):
            assert policy[part] == "'self'", part
        for part in ("frame-ancestors", "base-uri", "form-action"):
            assert policy[part] == "'none'", part
        for sources in policy.values():
            assert set(sources.split()) <= {"'none'", "'self'", "blob:", "data:"}
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["permissions-policy"].startswith("camera=(self)")


def test_the_shipped_page_needs_nothing_that_is_not_shipped_or_allowed():
    names = {path.name for path in FILES}
    assert "index.html" in names
    html = next(path for path in FILES if path.name == "index.html").read_text()
    referred = re.findall(r'(?:src|href)="([^"#]*)"', html)
    assert {name.removeprefix("page/") for name in referred} <= names
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html), "its policy forbids what is inline"
    for path in FILES:
        assert path.suffix in page_files._TYPES, path


def test_a_wheel_has_the_page():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["ml_lstm.serving.server"].split(", ")
    server = Path(page_files.__file__).parent
    assert {path for pattern in patterns for path in server.glob(pattern)} == {*FILES}


def test_a_server_shows_it_and_says_where(server):
    assert server.line("Open http://").endswith(f"Open {server.url}/")
    with requests.Session() as session:
        shown = session.get(f"{server.url}/", headers=BROWSER, timeout=600)
        assert shown.text == next(path for path in FILES if path.name == "index.html").read_text()
        head = session.head(f"{server.url}/", headers=BROWSER, timeout=600)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["ETag"] == shown.headers["ETag"]
        assert session.post(f"{server.url}/", timeout=600).status_code == 404


@pytest.mark.parametrize("path", ["/page/../rest.py", "/page/%2e%2e/rest.py", "/page/..%2frest.py", "//page/rest.py"])
def test_a_server_gives_away_no_other_file(server, path):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=600) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(2**16):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(("origin", "status"), [("", 400), ("x", 403), ("null", 403)])
def test_the_page_may_ask_its_own_server_and_other_pages_may_not(server, origin, status):
    headers = {"Origin": origin if origin == "null" else server.url + origin}
    answer = requests.post(f"{server.url}/v1/models/m:predict", data=b"{}", headers=headers, timeout=600)
    assert answer.status_code == status, answer.text  # 400: it was read
