"""Downloads: whole, verified, and clear when they fail. The network is a local one."""

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from server import Server

from nstjax.errors import UserError
from nstjax.files import file_hash
from nstjax.networks import download
from nstjax.networks.download import cache_dir, fetch

BODY = random.Random(0).randbytes(1_000_000)
HALF = len(BODY) // 2
SHA = hashlib.sha256(BODY).hexdigest()
DIGEST = f"sha256:{SHA}"


@pytest.fixture
def server():
    with Server(BODY) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.gate.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(download.pooch.core.time, "sleep", lambda seconds: None)  # between attempts
    monkeypatch.setattr(download, "_TIMEOUT", 5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NSTJAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "w.bin"


def refusal(url, digest=DIGEST):
    with pytest.raises(UserError) as caught:
        fetch(url, digest=digest)
    message = str(caught.value)
    assert "\n" not in message
    return message


def start(server, limit="None"):
    """Another process that fetches; its first line says that it is about to."""
    program = (
        "import resource, signal, sys\n"
        # A shell starts what runs behind it with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from nstjax.networks.download import UserError, fetch\n"
        f"if {limit}: resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "print('ready', flush=True)\n"
        f"try: fetch({server.url!r}, digest={DIGEST!r})\n"
        "except UserError as error: sys.exit(str(error))\n"
    )
    root = Path(download.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root, text=True, stdout=-1, stderr=-1)
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition):
    deadline, nap = time.monotonic() + 10, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s"
        nap.wait(0.01)


def test_downloads_once(server, path, capsys):
    assert fetch(server.url, digest=DIGEST) == path
    assert path.read_bytes() == BODY and path.stat().st_mode & 0o777 == 0o644
    assert fetch(server.url, digest=DIGEST) == path
    server.shutdown()
    assert fetch(server.url, digest=DIGEST) == path
    assert server.requests == 1
    assert [p.name for p in path.parent.iterdir()] == ["w.bin"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "digest", [f"sha256:{SHA[:8]}", f"SHA256:{SHA.upper()}", f"md5:{hashlib.md5(BODY).hexdigest()}"]
)
def test_kinds_of_digest(server, path, digest):
    assert fetch(server.url, digest=digest) == path
    assert fetch(server.url, digest=digest) == path
    assert server.requests == 1


@pytest.mark.parametrize("digest", [SHA, "sha256:", "sha256:1234567", f"sha256:{SHA}0", "crc:12345678"])
def test_malformed_digest(digest):
    with pytest.raises(ValueError, match="digest"):
        fetch("http://127.0.0.1:1/w.bin", digest=digest)


def test_a_file_put_there_by_hand_needs_no_network(path):
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch("http://127.0.0.1:1/w.bin", digest=DIGEST) == path


@pytest.mark.parametrize("found", [b"mine", BODY[::-1]])
def test_a_wrong_file_in_the_cache_is_left_alone(server, path, found):
    fetch(server.url, digest=DIGEST)
    path.write_bytes(found)
    message = refusal(server.url)
    assert "is not the expected file" in message
    assert str(path) in message and SHA in message and file_hash(path, "sha256") in message
    assert path.read_bytes() == found and server.requests == 1


def test_another_digest_is_another_file(server, path):
    fetch(server.url, digest=DIGEST)
    assert "is not the expected file" in refusal(server.url, "sha256:" + "0" * 64)


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_dropped_connection_is_tried_again(server, path, tells_length):
    server.drops = [300_000, 200_000]
    server.tells_length = tells_length
    if tells_length:
        assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
        assert server.requests == 3
    else:  # a part that cannot be told from the whole, but by its hash
        assert "gave another file" in refusal(server.url)
        assert list(path.parent.iterdir()) == []


def test_a_connection_that_always_drops_leaves_nothing(server, path):
    server.drops = [1000] * 3
    message = refusal(server.url)
    assert server.url in message and str(path) in message and "mirror" in message
    assert "1000 bytes read" in message and list(path.parent.iterdir()) == []
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY


def test_a_stalled_connection_times_out(server, path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    server.pause_after = HALF
    assert "timed out" in refusal(server.url)
    assert list(path.parent.iterdir()) == [] and server.requests == 3


def test_a_wrong_hash_leaves_nothing(server, path):
    server.body = b"another file"
    message = refusal(server.url)
    assert SHA in message and hashlib.sha256(server.body).hexdigest() in message
    assert f"{server.url} gave another file" in message and str(path) in message
    assert list(path.parent.iterdir()) == [] and server.requests == 1
    server.body = BODY
    assert fetch(server.url, digest=DIGEST) == path


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<p>Sign in", "text/html; charset=utf-8"),
        (b"\n<!DOCTYPE html><html>", "application/octet-stream"),
        (b"<HTML><body>", "application/octet-stream"),
    ],
)
def test_web_page_instead_of_a_file(server, path, body, content_type):
    server.body, server.content_type = body, content_type
    message = refusal(server.url)
    assert server.url in message and "HTML" in message and str(path) in message and "mirror" in message
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("size", [len(BODY), HALF])
def test_an_endless_body_ends_at_the_known_length(server, path, size):
    server.tells_length, server.endless = False, True
    with pytest.raises(UserError, match=f"gave another file: expected {size} bytes, found more"):
        fetch(server.url, digest=DIGEST, size=size)
    assert list(path.parent.iterdir()) == []
    assert server.requests == 1 and server.sent < 1 << 25  # what sockets hold
    server.tells_length, server.endless = True, False
    assert fetch(server.url, digest=DIGEST, size=len(BODY)) == path


def test_a_flipped_byte_in_the_cache_is_seen_whatever_the_time_of_the_file(server, path):
    fetch(server.url, digest=DIGEST)
    before, damaged = path.stat(), bytearray(BODY)
    damaged[HALF] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "is not the expected file" in refusal(server.url)


def test_parts_of_killed_downloads_go_once_nothing_is_added_to_them(server, path):
    path.parent.mkdir()
    old, new, other = (path.parent / name for name in (".w.bin.1.part", ".w.bin.2.part", ".v.bin.3.part"))
    for part in (old, new, other):
        part.write_bytes(b"part")
    for part in (old, other):
        os.utime(part, (time.time() - 4000,) * 2)
    fetch(server.url, digest=DIGEST)
    assert {p.name for p in path.parent.iterdir()} == {"w.bin", new.name, other.name}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_http_errors(server, path, status):
    server.status = status
    message = refusal(server.url)
    assert server.url in message and str(status) in message
    assert str(path) in message and "mirror" in message
    assert list(path.parent.iterdir()) == []


def test_nobody_listens(path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/w.bin"
        message = refusal(url)
    assert url in message and "refused" in message and str(path) in message


def test_unknown_host(path, monkeypatch):
    def fail(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    message = refusal("http://nowhere.invalid/w.bin")
    assert "Name or service not known" in message and str(path) in message


@pytest.mark.parametrize("url", ["w.bin", "ftp://host/w.bin", "file:///etc/hosts", "http://a:b/w.bin"])
def test_what_is_no_address(url):
    assert url in refusal(url)


@pytest.mark.parametrize(
    "url", ["http://host", "http://host/", "http://host/..", "http://[::/w", "http://[::/w.bin"]
)
def test_address_without_a_file_name(url):
    message = refusal(url)
    assert url in message and "file name" in message


def test_cache_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NSTJAX_CACHE", str(tmp_path / "file" / "cache"))
    message = refusal(server.url)
    assert str(tmp_path / "file") in message and "NSTJAX_CACHE" in message
    assert server.requests == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_cache(server, path):
    path.parent.mkdir(mode=0o500)
    assert "Permission denied" in refusal(server.url)


def test_full_disk(server, path):
    process = start(server, limit="300_000")
    _, message = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "File too large" in message and message.count("\n") == 1 and "NSTJAX_CACHE" in message
    assert list(path.parent.iterdir()) == []
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_is_not_taken_for_the_file(server, path, kill):
    server.pause_after = HALF
    process = start(server)
    wait_until(lambda: any(p.stat().st_size > HALF // 2 for p in path.parent.glob("*")))
    process.send_signal(kill)
    process.communicate(timeout=10)
    assert not path.exists()
    if kill == signal.SIGINT:
        assert list(path.parent.iterdir()) == []
    server.pause_after = 0
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY


@pytest.mark.slow
def test_two_processes_at_once_both_get_it(server, path):
    server.pause_after = HALF
    processes = [start(server) for _ in range(2)]
    wait_until(lambda: server.requests == 2)
    server.gate.set()
    for process in processes:
        assert process.communicate(timeout=10) == ("", "") and process.returncode == 0
    assert [p.name for p in path.parent.iterdir()] == ["w.bin"] and path.read_bytes() == BODY


def test_progress_on_a_terminal(server, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch(server.url, digest=DIGEST)
    assert re.search(r"100%.*1\.00M/1\.00M", capsys.readouterr().err)


def test_cache_dir(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("NSTJAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "nstjax" in str(cache_dir())
