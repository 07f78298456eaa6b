"""Files: read with errors of one line, written atomically."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from nstjax.errors import CannotWrite, UserError, nearest

# What `tempfile` puts at the end of the name of a file that is being written.
_PART = re.compile(r"[a-z0-9_]{8}")
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


def user_path(typed: str | Path) -> Path:
    """The absolute path that a person means: with `~`, and without blanks around a name that is not there.

    Args:
      typed: as it was typed.

    Raises:
      UserError: for a blank name, a home folder that is unknown, and a relative path where the working
        directory is gone.
    """
    text = os.fspath(typed)
    if not os.path.lexists(os.path.expanduser(text)):
        text = text.strip()
    if not text or "\0" in text:
        raise UserError(
            f"{text!r} is {'no name, it has a null byte' if text else 'a blank name'}; expected a path"
        )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        who = text.split(os.sep)[0]
        raise UserError(f"{text}: the home folder {who} is not known; expected a path") from None
    except OSError:
        raise UserError(
            f"{text}: the working directory is gone; go to another, or give a path from /"
        ) from None


def is_file(path: Path) -> bool:
    """Whether a path is a file.

    Raises:
      UserError: where that cannot be seen (no permission, a name too long).
    """
    with reading(path):
        return path.is_file()


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, where there is none.

    Raises:
      UserError: where that cannot be done.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def lock(path: str | Path, *, shared: bool = False) -> IO | None:
    """A lock on a file, which is made where there is none; held until it is closed, or its process ends.

    Args:
      path: the file.
      shared: whether others may share it.

    Returns:
      The open file; None where another process has it.

    Raises:
      OSError: where the file cannot be opened, or its file system has no locks.
    """
    file = open(path, "a+")  # noqa: SIM115
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return file
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        file.close()
        raise


def write_atomic(path: str | Path, data: bytes | str) -> None:
    """Writes bytes or text to a path; after a crash the file has its old content or the new, never a part.

    Raises:
      CannotWrite: for no space, no permission.
    """
    path = Path(path)
    data = _utf8(data) if isinstance(data, str) else data
    with writing(path):
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            _where_known(os.chmod, part, 0o666 & ~_umask())
            os.replace(part, path)
            sync(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def sync(path: str | Path) -> None:
    """Makes a file, or the list of names in a folder, outlast a loss of power.

    Raises:
      OSError: where the disk refuses; not on a file system that knows no such call.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: str | Path) -> None:
    """Makes a folder with all in it, and its own name, outlast a loss of power."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(parent)
    sync(Path(folder).parent)


def remove_parts(folder: str | Path, names: Iterable[str]) -> None:
    """Removes what `write_atomic` left of files of these names when its process was killed."""
    for name in names:
        for path in Path(folder).glob(f".{name}.*"):
            if _PART.fullmatch(path.name.removeprefix(f".{name}.")):
                with contextlib.suppress(OSError):
                    path.unlink()


def write(path: str | Path, content: bytes | str | dict) -> None:
    """Writes bytes, a text, or a dict as JSON, atomically."""
    (write_json if isinstance(content, dict) else write_atomic)(path, content)


def write_json(path: str | Path, value: Any) -> None:
    """Writes a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path) -> dict:
    """The dict in a JSON file.

    Raises:
      UserError: for a file that cannot be read or holds no dict.
    """
    with reading(path):
        value = json.loads(Path(path).read_bytes())
        if not isinstance(value, dict):
            raise ValueError(f"expected a dict, found {type(value).__name__}")
        return value


def read_json_lines(path: str | Path, size: int = -1) -> list:
    """The values in the first `size` bytes of a file with one JSON value per line; in all of it by default.

    Raises:
      UserError: for a file that cannot be read, or is shorter.
    """
    with reading(path), open(path, "rb") as file:
        data = file.read(size)
        if len(data) < size:
            raise ValueError(f"{size} bytes were written, {len(data)} are there")
        return [json.loads(line) for line in data.splitlines()]


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turns the errors of a missing or damaged file into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turns the system's refusal to write into a `CannotWrite`."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None


def near_file(path: str | Path) -> str:
    """A clause that names the file beside a missing one with nearly its name, or nothing."""
    path = Path(path)
    beside = []
    with contextlib.suppress(OSError):
        beside = [p.name for p in path.parent.iterdir() if p.is_file()]
    hint = nearest(path.name, beside)
    return hint if "did you mean" in hint else ""


def file_hash(path: str | Path, algorithm: str) -> str:
    """The hash of a file, read in pieces.

    Args:
        path: the file.
        algorithm: a name that `hashlib` knows, such as `"sha256"`.

    Returns:
        The digest in lower-case hexadecimal.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _utf8(text):
    """UTF-8 of a text; undecodable bytes of a file's name are escaped."""
    return text.encode(errors="backslashreplace")


def _sync(descriptor):
    _where_known(os.fsync, descriptor)


def _where_known(call, *arguments):
    """Calls a function of the system, unless the file system has none such."""
    try:
        call(*arguments)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
