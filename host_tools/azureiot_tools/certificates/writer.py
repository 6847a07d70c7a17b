"""Sets of files written whole or not at all: half a key pair, or an old key lost, cannot be mended.

New content is staged beside its destination and then takes its name in one step, so nobody ever sees half a file. While
that goes on, other writers wait for the directory, and Ctrl-C waits for the end of a step. Only a power cut between two
such steps may leave the first of a pair alone; whoever reads a pair compares key and certificate.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from azureiot_tools.certificates import formats
from azureiot_tools.console import UserError, reason

_LOCK_POLL_S = 0.02


@dataclass(frozen=True)
class NewFile:
    """A file to be written.

    private: it holds a key, so only its owner may read it.
    keep_as: the name under which what is there now is kept; None: it is not.
    """

    path: Path
    data: bytes
    private: bool = False
    keep_as: Path | None = None


@dataclass(frozen=True)
class Written:
    """What became of a set of files. unchanged: they had exactly this content already."""

    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]


def refuse_existing(paths: Iterable[Path], hint: str = "Give --force to replace it.") -> None:
    """Raise UserError naming the first path that exists already. hint: what the user can do."""
    for path in paths:
        if os.path.lexists(path):
            raise UserError(f"{path} exists already and nothing was written.", hint)


def write(files: Sequence[NewFile], *, force: bool = False) -> Written:
    """Write all the files or, whatever happens (a full disk, Ctrl-C), none of them.

    Existing files with other content are a conflict unless `force`.

    Raises UserError when a file exists with other content, or cannot be written.
    """
    try:
        with _signals_held() as let_through:
            return _write(files, force, let_through)
    except OSError as error:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise UserError(f"Nothing was written of {files[0].path}{more}: {reason(error)}.") from None


def _write(files: Sequence[NewFile], force: bool, let_through: Callable[[], None]) -> Written:
    with ExitStack() as made, ExitStack() as leftovers, ExitStack() as published:  # undone from the last to the first
        # The real names: whoever waits for the same directory twice waits for ever.
        for directory in sorted({Path(os.path.realpath(file.path.parent)) for file in files}):
            _make_directory(directory, made)
            _lock(directory, leftovers, let_through)
        files = [*_kept(files), *files]
        unchanged = [file for file in files if _is_there(file)]
        steps = [_Step(file) for file in files if file not in unchanged]
        if not force:
            refuse_existing(step.file.path for step in steps)
        for step in steps:
            let_through()
            leftovers.callback(step.clean)
            step.stage()
        for step in steps:
            let_through()
            published.callback(step.undo)
            step.publish(force)
        for file in unchanged:
            if file.private:
                file.path.chmod(0o600)
        published.pop_all()
        made.pop_all()
    return Written(tuple(step.file.path for step in steps), tuple(file.path for file in unchanged))


class _Step:
    """One file on its way: staged beside its destination, then published, or undone."""

    def __init__(self, file: NewFile) -> None:
        self.file = file
        token = secrets.token_hex(4)
        self._new = file.path.with_name(f".{file.path.name}.{token}.new")
        self._replaced = file.path.with_name(f".{file.path.name}.{token}.replaced")
        self._inode: int | None = None

    def stage(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(self._new, flags, 0o600 if self.file.private else 0o644), "wb") as stream:
            self._inode = os.fstat(stream.fileno()).st_ino
            stream.write(self.file.data)
            stream.flush()
            os.fsync(stream.fileno())

    def publish(self, force: bool) -> None:
        if force and os.path.lexists(self.file.path):
            _link(self.file.path, self._replaced)
            os.replace(self._new, self.file.path)
        else:
            _link(self._new, self.file.path)  # fails if somebody else has taken the name since it was free

    def undo(self) -> None:
        path = self.file.path
        if os.path.lexists(self._replaced):
            os.replace(self._replaced, path)
        elif self._inode is not None and os.path.lexists(path) and path.lstat().st_ino == self._inode:
            path.unlink()

    def clean(self) -> None:
        self._new.unlink(missing_ok=True)
        self._replaced.unlink(missing_ok=True)


def _link(source: Path, destination: Path) -> None:
    """Give a file a second name that must be free; where there are no hard links (FAT), the file moves to it."""
    try:
        os.link(source, destination)
    except FileExistsError:
        raise
    except OSError:
        os.rename(source, destination)


def _is_there(file: NewFile) -> bool:
    """Whether the file has this content already."""
    try:
        if file.path.exists() and not file.path.is_file():
            raise UserError(f"{file.path} is not a file.", "Name another.")  # /dev/null, a directory: never replaced
        return file.path.stat().st_size == len(file.data) and file.path.read_bytes() == file.data
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{file.path} cannot be read: {reason(error)}.") from None


def _kept(files: Iterable[NewFile]) -> Iterator[NewFile]:
    """What is there now, as files of the names under which it is to be kept."""
    for file in files:
        if file.keep_as is not None and file.path.exists():
            yield NewFile(file.keep_as, formats.read_bytes(file.path), file.private)


def _make_directory(directory: Path, made: ExitStack) -> None:
    """Make it and those above it that are missing; `made` removes them again if nothing has come into them."""

    def remove(one: Path) -> None:
        with suppress(OSError):
            one.rmdir()

    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        made.callback(remove, one)
        one.mkdir(exist_ok=True)


def _lock(directory: Path, held: ExitStack, let_through: Callable[[], None]) -> None:
    """Keep other writers out of the directory for as long as `held` lasts, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    with suppress(OSError):  # some network file systems have none, and some directories may be written but not read
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)  # the opening of a pipe would wait
        held.callback(os.close, descriptor)
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                let_through()
                time.sleep(_LOCK_POLL_S)


@contextmanager
def _signals_held() -> Iterator[Callable[[], None]]:
    """Ctrl-C and its kin wait until the end of the block, or until the function that is yielded lets them through."""
    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main thread only
        yield lambda: None
        return
    came: list[int] = []

    def let_through() -> None:
        if came:
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGHUP", "SIGTERM", "SIGINT") if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    held = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for number in held:
            signal.signal(number, lambda number, _: came.append(number))
        yield let_through
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
