"""Published files in a cache: downloaded once by pooch, verified by their hash."""

import contextlib
import logging
import os
import re
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import platformdirs
import pooch
import requests

from nstjax import files
from nstjax.errors import UserError

_TIMEOUT = 30  # Seconds without an answer.
_RETRIES = 2  # After a connection that dropped.
_DIGESTS = re.compile("md5:[0-9a-f]{8,32}|sha256:[0-9a-f]{8,64}")


class _WrongFile(Exception):
    """The server gave another file; no ValueError, after which pooch would try again."""


def cache_dir() -> Path:
    """The folder that downloads are kept in: `$NSTJAX_CACHE`, else the user's cache of this platform."""
    return files.user_path(os.environ.get("NSTJAX_CACHE") or platformdirs.user_cache_dir("nstjax"))


def fetch(url: str, *, digest: str) -> Path:
    """Downloads a file into the cache unless it is there, and verifies its hash either way.

    A file that was put into the cache by hand serves as well. A download takes its final name only once
    its hash is right, so several processes may want the same file at once.

    Args:
        url: an http or https address, the original or a mirror; its last part names the file.
        digest: `"md5:hex"` or `"sha256:hex"`; the hex may be a prefix of at least eight digits.

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

    def download(url, part, _):
        options = {"chunk_size": 1 << 16, "timeout": _TIMEOUT, "headers": {"User-Agent": "nstjax"}}
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), **options)(url, part, None)
        found = files.file_hash(part, algorithm)
        if not found.startswith(wanted):
            is_page = Path(part).read_bytes()[:99].lstrip().startswith(b"<")
            what = "a web page (HTML), not the file" if is_page else "another file"
            raise _WrongFile(f"{what}: expected {digest}, found {found}")
        os.chmod(part, 0o644)  # pooch makes it readable by its owner alone.

    try:
        if path.exists():
            if not (found := files.file_hash(path, algorithm)).startswith(wanted):
                raise UserError(
                    f"{path} is not the expected file: expected {digest}, found {found}; "
                    "put the right file there, or delete it to download it again"
                )
            return path
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
