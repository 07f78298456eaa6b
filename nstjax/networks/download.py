"""Published files in a cache: downloaded once by pooch, verified by their hash."""

import contextlib
import glob
import logging
import os
import re
import sys
import tempfile
import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import platformdirs
import pooch
import requests

from nstjax import files
from nstjax.errors import UserError

_TIMEOUT = 30  # Seconds without an answer.
_ABANDONED = 3600  # Seconds without a byte.
_RETRIES = 2  # After a connection that dropped.
_DIGESTS = re.compile("md5:[0-9a-f]{8,32}|sha256:[0-9a-f]{8,64}")


class _WrongFile(Exception):
    """The server gave another file; no ValueError, after which pooch would try again."""


class _Bounded:
    """A file that takes no more than so many bytes, where that is not 0."""

    def __init__(self, file, size):
        self.file, self.size, self.flush = file, size, file.flush

    def write(self, data):
        if self.size and self.file.tell() + len(data) > self.size:
            raise _WrongFile(f"another file: expected {self.size} bytes, found more")
        return self.file.write(data)


def cache_dir() -> Path:
    """The folder that downloads are kept in: `$NSTJAX_CACHE`, else the user's cache of this platform."""
    return files.user_path(os.environ.get("NSTJAX_CACHE") or platformdirs.user_cache_dir("nstjax"))


def fetch(url: str, *, digest: str, size: int = 0) -> Path:
    """Downloads a file into the cache unless it is there, and verifies its hash either way.

    A file that was put into the cache by hand serves as well. A download takes its final name only once
    its hash is right, so several processes may want the same file at once.

    Args:
        url: an http or https address, the original or a mirror; its last part names the file.
        digest: `"md5:hex"` or `"sha256:hex"`; the hex may be a prefix of at least eight digits.
        size: in bytes, after which the download ends, or 0 where it is not known.

    Returns:
        The path of the verified file.

    Raises:
        UserError: the file cannot be had, is not what the digest says, or cannot be stored.
        ValueError: `digest` is malformed.
    """
    if not _DIGESTS.fullmatch(digest.lower()):
        raise ValueError(f"digest: expected md5:… or sha256:… of at least 8 hex digits, got {digest!r}")
    algorithm, wanted = digest.lower().split(":")
    path = cache_dir() / _name_in(url)
    remedy = f"put the file at {path} by hand, or give a path or a mirror URL"
    if not url.lower().startswith(("http://", "https://")):
        raise UserError(f"{url} is no URL: expected http://… or https://…; {remedy}")

    def download(url, whole, _):
        with _part(path) as part:
            fill(url, part)
            os.chmod(part, 0o644)  # It was made readable by its owner alone.
            os.replace(part, whole)

    def fill(url, part):
        options = {"chunk_size": 1 << 16, "timeout": _TIMEOUT, "headers": {"User-Agent": "nstjax"}}
        with open(part, "wb") as file:
            progressbar = sys.stderr.isatty()
            pooch.HTTPDownloader(progressbar=progressbar, **options)(url, _Bounded(file, size), None)
        found = files.file_hash(part, algorithm)
        if not found.startswith(wanted):
            is_page = Path(part).read_bytes()[:99].lstrip().startswith(b"<")
            what = "a web page (HTML), not the file" if is_page else "another file"
            raise _WrongFile(f"{what}: expected {digest}, found {found}")

    try:
        if path.exists():
            if not (found := files.file_hash(path, algorithm)).startswith(wanted):
                raise UserError(
                    f"{path} is not the expected file: expected {digest}, found {found}; "
                    "put the right file there, or delete it to download it again"
                )
            return path
        _sweep(path)
        pooch.get_logger().setLevel(logging.WARNING)
        known = {"registry": {path.name: None}, "urls": {path.name: url}}
        cache = pooch.create(path.parent, base_url="", retry_if_failed=_RETRIES, **known)
        return Path(cache.fetch(path.name, downloader=download))
    except _WrongFile as error:
        raise UserError(f"{url} gave {error}; {remedy}") from error
    except requests.RequestException as error:
        raise UserError(f"cannot download {url}: {_reason(error)}; {remedy}") from error
    except OSError as error:
        where = f"{error.filename or path.parent}: {error.strerror or error}"
        raise UserError(f"cannot use {where}; point NSTJAX_CACHE to a writable folder with space") from error


@contextlib.contextmanager
def _part(path):
    """A new file beside a path, which goes unless it was moved."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    try:
        yield part
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def _sweep(path):
    """Removes the parts of downloads that were killed: those to which nothing was added for long."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()


def _name_in(url):
    with contextlib.suppress(ValueError):
        if (name := PurePosixPath(urlsplit(url).path).name) not in ("", ".."):
            return name
    raise UserError(f"cannot download {url!r}: expected an address that ends in a file name")


def _reason(error):
    """The words of the system at the root of a chain of errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return getattr(error, "strerror", None) or error
