"""Download a file once: resumed, verified by hash, put in place whole or not at all."""

import contextlib
import fcntl
import hashlib
import os
import re
import time
from http.client import HTTPException, InvalidURL
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import platformdirs
from tqdm import tqdm

from nstjax import files
from nstjax.errors import UserError

_TIMEOUT = 30
_PAUSES = (0, 1, 2, 4)  # Seconds before each attempt.
_REMEDY = "put the file at {} by hand, or give a path or a mirror URL"


def cache_dir():
    """The folder that downloads are kept in.

    Returns:
        `$NSTJAX_CACHE` where it is set, else the user's cache folder of this platform.
    """
    return Path(os.environ.get("NSTJAX_CACHE") or platformdirs.user_cache_dir("nstjax"))


def fetch(url, *, digest, filename=None, cache=None):
    """The local path of a file, downloaded unless it is there already.

    A file found in the cache is hashed once; `<name>.ok` remembers what was verified. A download
    grows in `<name>.part`, which a later call resumes, and takes its final name only once its hash
    is right. Processes that want the same file wait for one another.

    Args:
        url: an http or https address, the original or a mirror.
        digest: `"algorithm:hex"`; the hex may be a prefix of at least eight digits.
        filename: the name in the cache; by default the last part of the URL's path.
        cache: the folder; by default `cache_dir()`.

    Returns:
        The `Path` of the verified file.

    Raises:
        UserError: the file cannot be had, is not what the digest says, or cannot be stored.
        ValueError: `digest` is malformed.
    """
    digest = _checked_digest(digest)
    folder = Path(cache) if cache is not None else cache_dir()
    path = folder.expanduser() / (filename or _name_in(url))
    try:
        if not _is_verified(path, digest):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(_beside(path, ".lock")):
                if not _is_verified(path, digest):
                    _download(url, path)
                    _publish(url, path, digest)
    except OSError as error:
        where, why = error.filename or path.parent, error.strerror or error
        raise UserError(
            f"cannot use {where}: {why}; point NSTJAX_CACHE to a writable folder with space"
        ) from error
    return path


def _checked_digest(digest):
    algorithm, _, wanted = digest.lower().partition(":")
    if algorithm not in ("md5", "sha1", "sha256", "sha512"):
        raise ValueError(f"digest: expected md5:…, sha1:…, sha256:… or sha512:…, got {digest!r}")
    longest = 2 * hashlib.new(algorithm).digest_size
    if not re.fullmatch(f"[0-9a-f]{{8,{longest}}}", wanted):
        raise ValueError(f"digest: expected 8 to {longest} hex digits, got {digest!r}")
    return f"{algorithm}:{wanted}"


def _name_in(url):
    name = ""
    with contextlib.suppress(ValueError):
        name = PurePosixPath(urlsplit(url).path).name
    if name in ("", ".."):
        raise UserError(f"cannot download {url!r}: expected an address that ends in a file name")
    return name


def _beside(path, suffix):
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def _lock(path):
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # The system lets go of it when the process dies.
        yield


def _is_verified(path, digest):
    """Whether the file is there and right; raises where it is there and wrong."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    with contextlib.suppress(OSError):
        found, *rest = _beside(path, ".ok").read_text(errors="replace").split() or [""]
        if found.startswith(digest) and rest == [str(stat.st_size), str(stat.st_mtime_ns)]:
            return True
    found = _digest_of(path, digest)
    if not found.startswith(digest):
        raise UserError(
            f"{path} is not the expected file: expected {digest}, found {found}; "
            "put the right file there, or delete it to download it again"
        )
    _remember(path, found)
    return True


def _digest_of(path, digest):
    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{files.file_hash(path, algorithm)}"


def _remember(path, found):
    stat = path.stat()
    with contextlib.suppress(OSError):  # A cache that cannot be written is hashed every time.
        _beside(path, ".ok").write_text(f"{found} {stat.st_size} {stat.st_mtime_ns}\n")


def _publish(url, path, digest):
    """Gives a finished download its final name, if it is what the digest says."""
    part = _beside(path, ".part")
    found = _digest_of(part, digest)
    if not found.startswith(digest):
        part.unlink()
        raise UserError(
            f"{url} gave another file: expected {digest}, found {found}; "
            "it was removed; run again, or give a path or a mirror URL"
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    _remember(path, found)


class _Dropped(Exception):
    """The connection ended before the file did."""


def _download(url, path):
    """Brings `<name>.part` to its full length, trying again when the connection drops."""
    part = _beside(path, ".part")
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            with _open(url, path) as response:
                return _receive(response, url, path)
        except _Dropped as error:
            dropped = error
    raise UserError(
        f"{url} broke off after {_size(part)} bytes ({dropped}); "
        f"what came is kept in {part}, run again to resume"
    )


def _open(url, path):
    """The server's answer, which starts where `<name>.part` ends if the server can do that."""
    have = _size(_beside(path, ".part"))
    headers = {"User-Agent": "nstjax", **({"Range": f"bytes={have}-"} if have else {})}
    remedy = _REMEDY.format(path)
    if not url.lower().startswith(("http://", "https://")):
        raise UserError(f"{url} is no URL: expected http://… or https://…; {remedy}")
    try:
        return urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:
            return error
        error.close()
        raise UserError(f"cannot download {url}: {error}; {remedy}") from error
    except (URLError, InvalidURL, ValueError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason
        raise UserError(f"cannot download {url}: {reason}; {remedy}") from error
    except (OSError, HTTPException) as error:
        raise _Dropped(str(error)) from error


def _receive(response, url, path):
    """Appends the answer to `<name>.part`; returns once that is whole."""
    part = _beside(path, ".part")
    have = _size(part)
    start, total = _span(response)
    if response.status == 416 and have == total:
        return
    if start is None or start > have:
        part.unlink(missing_ok=True)
        raise _Dropped("the server could not continue the file")

    chunk = _read(response)
    is_html = start == 0 and chunk.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if is_html or response.headers.get_content_type() == "text/html":
        raise UserError(f"{url} gave a web page (HTML), not a file; {_REMEDY.format(path)}")
    shown = dict(unit="B", unit_scale=True, desc=path.name, disable=None)
    with part.open("ab") as file, tqdm(total=total, initial=start, **shown) as bar:
        file.truncate(start)
        while chunk:
            file.write(chunk)
            bar.update(len(chunk))
            chunk = _read(response)
    if total is not None and _size(part) != total:
        raise _Dropped(f"{total} were expected")


def _span(response):
    """The first byte of the answer (None: unusable) and the length of the whole file, if known."""
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    content_range = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", content_range.strip())
    return tuple(n and int(n) for n in match.groups()) if match else (None, None)


def _read(response):
    try:
        return response.read(1 << 16)
    except (OSError, HTTPException) as error:
        raise _Dropped(str(error)) from error


def _size(path):
    return path.stat().st_size if path.exists() else 0
