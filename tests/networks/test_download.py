"""Downloads: whole or resumable, verified, and clear when they fail. The network is a local one."""

import errno
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

from nstjax import files
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
    monkeypatch.setattr(download, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(download, "_TIMEOUT", 5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NSTJAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "w.bin"


@pytest.fixture
def part(path):
    path.parent.mkdir()
    return path.with_name("w.bin.part")


def refusal(url, digest=DIGEST, **options):
    with pytest.raises(UserError) as caught:
        fetch(url, digest=digest, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def start(server, cache, limit="None"):
    """Another process that fetches; its first line says that it is about to."""
    program = (
        "import resource, signal, sys\n"
        # A shell starts what runs behind it with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from nstjax.networks.download import UserError, fetch\n"
        f"if {limit}: resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "print('ready', flush=True)\n"
        f"try: fetch({server.url!r}, digest={DIGEST!r}, cache={str(cache)!r})\n"
        "except UserError as error: sys.exit(str(error))\n"
    )
    root = Path(download.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root, text=True, stdout=-1, stderr=-1)
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s"
        time.sleep(0.01)


def test_downloads_once(server, path, capsys, monkeypatch):
    assert fetch(server.url, digest=DIGEST) == path
    assert path.read_bytes() == BODY
    monkeypatch.setattr(files, "file_hash", None)  # Not even hashed a second time.
    assert fetch(server.url, digest=DIGEST) == path
    assert server.ranges == [None]
    assert not path.with_name("w.bin.part").exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "digest", [f"sha256:{SHA[:8]}", f"SHA256:{SHA.upper()}", f"md5:{hashlib.md5(BODY).hexdigest()}"]
)
def test_kinds_of_digest(server, path, digest):
    assert fetch(server.url, digest=digest) == path
    assert fetch(server.url, digest=digest) == path
    assert len(server.ranges) == 1


@pytest.mark.parametrize("digest", [SHA, "sha256:", "sha256:1234567", f"sha256:{SHA}0", "crc:12345678"])
def test_malformed_digest(digest):
    with pytest.raises(ValueError, match="digest"):
        fetch("http://127.0.0.1:1/w.bin", digest=digest)


def test_placed_by_hand_needs_no_network(path):
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch("http://127.0.0.1:1/w.bin", digest=DIGEST) == path


def test_mirror_and_folder(server, tmp_path):
    found = fetch(server.url, digest=DIGEST, filename="vgg.bin", cache=tmp_path / "a" / "b")
    assert found == tmp_path / "a" / "b" / "vgg.bin"
    assert found.read_bytes() == BODY


def test_wrong_file_in_the_cache_is_left_alone(server, path):
    fetch(server.url, digest=DIGEST)
    path.write_bytes(b"mine")
    message = refusal(server.url)
    assert str(path) in message and SHA in message and file_hash(path, "sha256") in message
    assert path.read_bytes() == b"mine" and len(server.ranges) == 1


def test_record_of_another_digest_is_not_believed(server, path):
    fetch(server.url, digest=DIGEST)
    assert "is not the expected file" in refusal(server.url, "sha256:" + "0" * 64)


def test_change_that_keeps_the_size_is_seen(server, path):
    fetch(server.url, digest=DIGEST)
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(1, 1))
    assert "is not the expected file" in refusal(server.url)


@pytest.mark.parametrize("seal", [b"", b"\xff\xfe", b"nonsense", b"sha256:0 1 2\n"])
def test_damaged_record_means_another_hash(server, path, seal):
    fetch(server.url, digest=DIGEST)
    path.with_name("w.bin.ok").write_bytes(seal)
    assert fetch(server.url, digest=DIGEST) == path
    assert SHA in path.with_name("w.bin.ok").read_text()


@pytest.mark.parametrize("resumes", [True, False])
def test_resumes_what_lies_there(server, path, part, resumes):
    part.write_bytes(BODY[:HALF])
    server.resumes = resumes
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert server.ranges == [f"bytes={HALF}-"]


def test_complete_part_is_taken(server, path, part):
    part.write_bytes(BODY)
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert server.ranges == [f"bytes={len(BODY)}-"]


def test_part_of_something_longer_is_dropped(server, path, part):
    part.write_bytes(BODY + b"more")
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert len(server.ranges) == 2


@pytest.mark.parametrize(("skew", "requests"), [(10, 2), (-10, 1)])
def test_answer_that_starts_elsewhere(server, path, part, skew, requests):
    part.write_bytes(BODY[:HALF])
    server.skew = skew
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert len(server.ranges) == requests


@pytest.mark.parametrize("tells_length", [True, False])
def test_dropped_connection_is_resumed(server, path, tells_length):
    server.drops = [300_000, 200_000]
    server.tells_length = tells_length
    if tells_length:
        assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
        assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    else:
        assert "gave another file" in refusal(server.url)


def test_truncated_says_how_much_came_and_resumes(server, path):
    server.drops = [1000] * 3
    message = refusal(server.url)
    part = path.with_name("w.bin.part")
    assert "3000 bytes" in message and str(len(BODY)) in message
    assert str(part) in message and "run again to resume" in message
    assert part.read_bytes() == BODY[:3000] and not path.exists()
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert server.ranges[-1] == "bytes=3000-"


def test_stalled_connection(server, path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    server.pause_after = HALF
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert len(server.ranges) > 1
    server.pause_after = 1
    assert "timed out" in refusal(server.url, filename="another.bin")


def test_wrong_hash_leaves_nothing(server, path):
    server.body = b"another file"
    message = refusal(server.url)
    assert SHA in message and hashlib.sha256(server.body).hexdigest() in message
    assert server.url in message
    server.body = BODY
    assert fetch(server.url, digest=DIGEST) == path
    assert server.ranges == [None, None]


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
    assert server.url in message and "HTML" in message
    assert sorted(p.name for p in path.parent.iterdir()) == ["w.bin.lock"]


def test_web_page_does_not_cost_what_came_before(server, path, part):
    part.write_bytes(BODY[:HALF])
    server.body, server.content_type, server.resumes = b"<p>Sign in", "text/html", False
    assert "HTML" in refusal(server.url)
    assert part.read_bytes() == BODY[:HALF]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_http_errors(server, path, status):
    server.status = status
    message = refusal(server.url)
    assert server.url in message and str(status) in message
    assert str(path) in message and "mirror" in message
    assert not path.with_name("w.bin.part").exists()


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


@pytest.mark.parametrize(
    "url",
    ["w.bin", "ftp://host/w.bin", "file:///etc/hosts", "http://[::/w.bin", "http://a:b/w.bin"],
)
def test_what_is_no_address(url):
    assert url in refusal(url, filename="w.bin")


@pytest.mark.parametrize("url", ["http://host", "http://host/", "http://host/..", "http://[::/w"])
def test_address_without_a_file_name(url):
    assert "file name" in refusal(url)


def test_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = refusal(server.url, cache=tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in message and "NSTJAX_CACHE" in message
    assert server.ranges == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_cache(server, path):
    path.parent.mkdir(mode=0o500)
    assert "Permission denied" in refusal(server.url)


def test_read_only_record_is_no_obstacle(path, monkeypatch):
    path.parent.mkdir()
    path.write_bytes(BODY)

    def fail(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", fail)
    assert fetch("http://127.0.0.1:1/w.bin", digest=DIGEST) == path


def test_full_disk(server, path):
    process = start(server, path.parent, limit="300_000")
    _, message = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "File too large" in message and message.count("\n") == 1
    assert not path.exists()
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_killed_download_is_resumed(server, path, kill):
    server.pause_after = HALF
    part = path.with_name("w.bin.part")
    process = start(server, path.parent)
    wait_until(lambda: part.exists() and part.stat().st_size > HALF // 2)
    process.send_signal(kill)
    process.communicate(timeout=10)
    came = part.stat().st_size
    assert not path.exists() and came <= HALF
    server.pause_after = 0
    assert fetch(server.url, digest=DIGEST).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={came}-"]


def test_processes_wait_for_one_another(server, path):
    server.pause_after = HALF
    processes = [start(server, path.parent) for _ in range(2)]
    wait_until(lambda: server.ranges)
    time.sleep(0.3)
    server.gate.set()
    for process in processes:
        assert process.communicate(timeout=10) == ("", "") and process.returncode == 0
    assert server.ranges == [None]
    assert path.read_bytes() == BODY


def test_progress_on_a_terminal(server, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch(server.url, digest=DIGEST)
    assert re.search(r"w\.bin: 100%.*1\.00M/1\.00M", capsys.readouterr().err)


def test_cache_dir(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("NSTJAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "nstjax" in str(cache_dir())
