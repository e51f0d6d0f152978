"""Downloading from real servers on 127.0.0.1: good ones, and the many kinds of bad ones."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ms_gan_callbacks.data import BUNDLED, download, mnist
from ms_gan_callbacks.errors import DataError, GanWarning

from .conftest import idx_bytes, one_line

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
FILES = {name: (BUNDLED / f"{name}.gz").read_bytes() for name in (IMAGES, LABELS)}
CONTENT = gzip.decompress(FILES[IMAGES])
BODIES = {
    "html": b"<html>please log in</html>",
    "other": gzip.compress(idx_bytes(np.zeros((3, 28, 28), np.uint8))),
    "flipped": gzip.compress(CONTENT[:-1] + b"\x07", 1),
    "bomb": gzip.compress(CONTENT + bytes(1 << 20), 1),
    "huge": bytes(6 << 20),
    "empty": b"",
}


class Server(NamedTuple):
    base: str
    asked: list[str]

    def __call__(self, manner: str) -> str:
        return f"{self.base}/{manner}/"


class Handler(BaseHTTPRequestHandler):
    """The first part of the path is how to behave, the second the file."""

    asked: list[str]
    leave: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, manner, file = self.path.split("/")
        body = FILES[file.removesuffix(".gz")]
        if manner == "absent":
            self.send_error(404)
            return
        if manner == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{file}")
            self.end_headers()
            return
        if manner == "silent":
            self.leave.wait(20)
            return
        body = BODIES.get(manner, body)
        self.send_response(200)
        self.send_header("Content-Length", "many" if manner == "odd" else str(len(body)))
        self.end_headers()
        with suppress(OSError):  # the other side may have had enough
            self.wfile.write(body[:-10] if manner in ("truncated", "stalled") else body)
        if manner == "stalled":
            self.leave.wait(20)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror that has the bundled digits, told to be what MNIST's training set has to be."""
    known = {}
    for name, packed in FILES.items():
        content = gzip.decompress(packed)
        known[name] = download.Known(len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(download, "KNOWN", known)
    monkeypatch.setenv("MS_GAN_OFFLINE", "0")
    handler = type("Own", (Handler,), {"asked": [], "leave": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield Server(f"http://127.0.0.1:{http.server_address[1]}", handler.asked)  # type: ignore[attr-defined]
        handler.leave.set()  # type: ignore[attr-defined]
        http.shutdown()


def use(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setattr(download, "MIRRORS", mirrors)
    if any("silent" in mirror or "stalled" in mirror for mirror in mirrors):
        monkeypatch.setattr(download, "SILENCE", 1.0)  # seconds; the others keep what users have


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_good_mirror_fills_the_cache_once(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use(monkeypatch, server("good"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = mnist(), mnist()
    bundled = mnist(BUNDLED)
    assert np.array_equal(first.images, bundled.images) and np.array_equal(second.images, bundled.images)
    assert server.asked == [f"/good/{IMAGES}.gz", f"/good/{LABELS}.gz"]
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {f"{n}.gz": b for n, b in FILES.items()}


BAD = {
    "absent": "404",
    "html": "damaged gzip data",
    "other": "sha256 differs",
    "flipped": "sha256 differs",
    "bomb": "unpacks to more than the expected 3,920,016 bytes",
    "huge": "sends more than the expected",
    "empty": "sha256 differs|damaged gzip",
    "truncated": "damaged gzip data",
    "stalled": "timed out",
    "silent": "timed out|no answer",
    "odd": "invalid literal",
}


@pytest.mark.parametrize(("manner", "told"), BAD.items())
def test_a_bad_mirror_is_left_at_its_first_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path, manner: str, told: str
) -> None:
    use(monkeypatch, server(manner))
    with pytest.raises(DataError, match=f"no mirror could be used: 127.0.0.1:.*({told})") as error:
        download.download([IMAGES, LABELS], cache)
    one_line(error)
    assert server.asked == [f"/{manner}/{IMAGES}.gz"]
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("manner", ["absent", "flipped", "silent"])
def test_the_next_mirror_takes_over(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path, manner: str
) -> None:
    use(monkeypatch, server(manner), server("moved"))
    assert mnist().name == "mnist train, 5,000 images"
    assert server.asked[0] == f"/{manner}/{IMAGES}.gz" and server.asked[-1] == f"/good/{LABELS}.gz"
    assert len(list(cache.iterdir())) == 2


def test_refused_connections_lead_to_the_bundled_digits(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/"
    use(monkeypatch, dead, dead)
    with pytest.warns(GanWarning, match="5,000 bundled digits only.*refused.*; .*refused") as warned:
        assert mnist().name == "mnist 5,000 bundled"
    assert "MS_GAN_DATA" in str(warned[0].message) and "\n" not in str(warned[0].message)
    assert warned[0].filename == __file__
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"", lambda b: gzip.compress(b"else")])
def test_a_damaged_cache_is_told_and_only_the_damaged_file_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path, damage: object
) -> None:
    use(monkeypatch, server("good"))
    mnist()
    server.asked.clear()
    (cache / f"{LABELS}.gz").write_bytes(damage(FILES[LABELS]))  # type: ignore[operator]
    with pytest.warns(GanWarning, match=f"{LABELS}.gz is damaged") as warned:
        source = mnist()
    assert len(warned) == 1 and warned[0].filename == __file__
    assert source.name == "mnist train, 5,000 images"
    assert server.asked == [f"/good/{LABELS}.gz"]
    assert (cache / f"{LABELS}.gz").read_bytes() == FILES[LABELS]


@pytest.mark.parametrize(("value", "asks"), [("", True), ("0", True), ("1", False), ("yes", False)])
def test_offline_leaves_the_mirrors_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, value: str, asks: bool
) -> None:
    use(monkeypatch, server("absent"))
    monkeypatch.setenv("MS_GAN_OFFLINE", value)
    with pytest.warns(GanWarning, match="404" if asks else "MS_GAN_OFFLINE is set"):
        mnist()
    assert bool(server.asked) == asks


def test_offline_still_uses_a_good_cache(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server("good"))
    mnist()
    monkeypatch.setenv("MS_GAN_OFFLINE", "1")
    server.asked.clear()
    assert mnist().name == "mnist train, 5,000 images" and not server.asked


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("moment", ["os.fsync", "pathlib.Path.replace"])
def test_nothing_half_written_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path, failure: BaseException, moment: str
) -> None:
    def fail(*_: object) -> None:
        raise failure

    use(monkeypatch, server("good"))
    monkeypatch.setattr(moment, fail)
    kind = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else DataError
    with pytest.raises(kind, match="^$" if kind is KeyboardInterrupt else "cannot be written .No space left"):
        download.download([IMAGES], cache)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_no_catastrophe(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use(monkeypatch, server("good"))
    cache.parent.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    with pytest.warns(GanWarning, match="bundled digits only.*cannot be written"):
        assert mnist().count == 5000
    assert not server.asked


def test_a_name_that_is_never_resolved_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: stuck.wait(30))
    monkeypatch.setattr(download, "SILENCE", 0.0)
    use(monkeypatch, "http://slow.invalid/")
    with pytest.raises(DataError, match=r"slow\.invalid: no answer"):
        download.download([IMAGES], cache)
    assert not stuck.is_set() and stuck.set() is None


def test_an_endless_trickle_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use(monkeypatch, server("good"))
    monkeypatch.setattr(download, "PATIENCE", 0.0)
    with pytest.raises(DataError, match="not complete after 0 s"):
        download.download([IMAGES], cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_on_a_terminal_only(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path, terminal: bool
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    use(monkeypatch, server("good"))
    download.download([IMAGES], cache)
    assert (IMAGES in screen.getvalue()) if terminal else screen.getvalue() == ""


def test_the_known_files_are_mnists() -> None:
    assert {name: known.size for name, known in download.KNOWN.items()} == {
        "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
        "train-labels-idx1-ubyte": 8 + 60_000,
        "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
        "t10k-labels-idx1-ubyte": 8 + 10_000,
    }
    assert len(download.MIRRORS) == 2 and all(
        m.startswith("https://") and m.endswith("/") for m in download.MIRRORS
    )
