"""Pins that files are written whole or not at all: half a key pair, or an old key lost, cannot be mended."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from azureiot_tools.certificates import writer
from azureiot_tools.certificates.writer import NewFile
from azureiot_tools.console import UserError

from .support import mode, tree


def three(directory: Path, version: bytes = b"new") -> list[NewFile]:
    return [
        NewFile(directory / "sub" / "a.crt", b"a " + version),
        NewFile(directory / "b.key", b"b " + version, True),
        NewFile(directory / "c.pfx", b"c " + version, True),
    ]


def test_written_with_the_right_modes(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        done = writer.write(three(tmp_path))
    finally:
        os.umask(old_mask)
    assert [path.name for path in done.written] == ["a.crt", "b.key", "c.pfx"]
    assert tree(tmp_path) == {"sub/a.crt": b"a new", "b.key": b"b new", "c.pfx": b"c new"}
    assert [mode(path) for path in done.written] == [0o644, 0o600, 0o600]


def test_a_key_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    real = os.fsync

    def watch(descriptor: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        real(descriptor)

    opened = []
    real_open = os.open

    def watch_open(path: str, flags: int, permissions: int = 0o777) -> int:
        descriptor = real_open(path, flags, permissions)
        if flags & os.O_CREAT:
            opened.append((os.fstat(descriptor).st_mode & 0o777, os.fstat(descriptor).st_size))
        return descriptor

    monkeypatch.setattr(os, "fsync", watch)
    monkeypatch.setattr(os, "open", watch_open)
    writer.write([NewFile(tmp_path / "a.key", b"secret", private=True)])
    assert opened == [(0o600, 0)]
    assert modes == [0o600]


def test_nothing_is_overwritten_and_nothing_else_written(tmp_path: Path) -> None:
    (tmp_path / "c.pfx").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"c\.pfx exists already and nothing was written"):
        writer.write(three(tmp_path))
    assert tree(tmp_path) == {"c.pfx": b"precious"}


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "b.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="exists already"):
        writer.write(three(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


def test_force_replaces(tmp_path: Path) -> None:
    writer.write(three(tmp_path, b"old"))
    done = writer.write(three(tmp_path), force=True)
    assert len(done.written) == 3
    assert tree(tmp_path) == {"sub/a.crt": b"a new", "b.key": b"b new", "c.pfx": b"c new"}


def test_same_content_counts_as_unchanged_and_is_made_private(tmp_path: Path) -> None:
    writer.write(three(tmp_path))
    (tmp_path / "b.key").chmod(0o644)
    (tmp_path / "c.pfx").unlink()
    before = (tmp_path / "sub" / "a.crt").stat()
    done = writer.write(three(tmp_path))
    assert [path.name for path in done.unchanged] == ["a.crt", "b.key"]
    assert [path.name for path in done.written] == ["c.pfx"]
    assert (tmp_path / "sub" / "a.crt").stat() == before
    assert mode(tmp_path / "b.key") == 0o600


def versions(directory: Path) -> set[bytes]:
    """Which versions of the three are there; checks that they are there alone, and each of them whole."""
    files = tree(directory)
    assert set(files) <= {"sub/a.crt", "b.key", "c.pfx"}
    assert all(content.split()[0] == name.rpartition("/")[2][:1].encode() for name, content in files.items())
    found = {content.split()[1] for content in files.values()}
    assert len(files) == 3 * len(found), "a part of a set"
    return found


@pytest.fixture(params=[False, True], ids=["links", "no links"])
def without_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems of both kinds."""
    if request.param:
        monkeypatch.setattr(os, "link", raise_no_links)


@pytest.mark.usefixtures("without_links")
@pytest.mark.parametrize("force", [False, True])
def test_ctrl_c_at_any_line_leaves_all_or_nothing(tmp_path: Path, force: bool) -> None:
    """A real SIGINT before every single line that is run, one run each: the old set or the new one, and no more."""
    seen = set()
    for number in itertools.count():
        directory = tmp_path / str(number)
        if force:
            writer.write(three(directory, b"old"))
        before = tree(directory), directory.exists()
        lines = Lines(number)
        try:
            with lines:
                writer.write(three(directory), force=force)
            if not lines.struck:
                break  # it has no more lines
        except KeyboardInterrupt:
            assert lines.struck
        if (tree(directory), directory.exists()) != before:
            assert versions(directory) == {b"new"}
            seen.add("done")
        else:
            seen.add("undone")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert seen == {"done", "undone"}
    assert number > 100


class Lines:
    """Sends this process SIGINT before the line of the given number that writer.py runs."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.struck = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()  # a debugger's, or that of `make coverage`
        sys.settrace(self._enter)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _enter(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename == writer.__file__ else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self._left -= 1
            if self._left < 0:
                self.struck = True
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
                return None
        return self._line


CALLS = ("mkdir", "open", "fstat", "fsync", "link", "replace", "lstat", "stat", "chmod")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_a_failure_of_any_call_leaves_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, force: bool
) -> None:
    """The first, the second, the n-th call fails, one run each, until none is left to fail."""
    real: Callable[..., Any] = getattr(os, name)
    for number in itertools.count():
        directory = tmp_path / str(number)
        if force:
            writer.write(three(directory, b"old"))
        before = tree(directory)
        left = number

        def fail_once(*arguments: object, **options: object) -> Any:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(28, "No space left on device")
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, fail_once)
        failed = False
        try:
            writer.write(three(directory), force=force)
        except UserError:
            failed = True
        finally:
            monkeypatch.setattr(os, name, real)
        assert (tree(directory) == before) if failed else (versions(directory) == {b"new"})
        if left >= 0:
            break


def test_when_links_and_renaming_fail_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write(three(tmp_path, b"old"))
    monkeypatch.setattr(os, "link", raise_no_links)
    monkeypatch.setattr(os, "rename", raise_no_links)
    with pytest.raises(UserError, match=r"Nothing was written of .*a\.crt and 2 more: Operation not permitted"):
        writer.write(three(tmp_path), force=True)
    assert versions(tmp_path) == {b"old"}


def test_directories_made_for_nothing_go_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        writer.write(three(tmp_path / "one" / "two"))
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_never_mix_their_files(tmp_path: Path) -> None:
    """Four processes write sets of their own over each other's; the set that is there is always one writer's."""
    program = """
import sys
from pathlib import Path
from azureiot_tools.certificates.writer import NewFile, write
directory, name = Path(sys.argv[1]), sys.argv[2].encode()
for number in range(12):
    files = {"a.crt": False, "b.key": True, "c.pfx": True}
    text = b"%s%d" % (name, number)
    write([NewFile(directory / file, file[:1].encode() + b" " + text, private) for file, private in files.items()],
          force=True)
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, tmp_path, str(number)]) for number in range(4)]
    try:
        while any(process.poll() is None for process in writers):
            with locked(tmp_path):
                assert len({content.split()[1] for content in tree(tmp_path).values()}) <= 1
        assert [process.returncode for process in writers] == [0, 0, 0, 0]
    finally:
        for process in writers:
            process.kill()
            process.wait()
    assert set(tree(tmp_path)) == {"a.crt", "b.key", "c.pfx"}


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def test_waiting_for_another_writer_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))
    with locked(tmp_path), pytest.raises(KeyboardInterrupt):
        writer.write([NewFile(tmp_path / "a", b"a")])
    assert tree(tmp_path) == {}


def test_a_directory_under_two_names_is_not_waited_for_twice(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    writer.write([NewFile(tmp_path / "real" / "a", b"a"), NewFile(tmp_path / "link" / "b", b"b")])
    assert tree(tmp_path / "real") == {"a": b"a", "b": b"b"}


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup, where the terminal may go."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda descriptor: (signal.raise_signal(signal.SIGHUP), real(descriptor)))
        writer.write(three(tmp_path))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert versions(tmp_path) == {b"new"}


def test_what_was_there_is_kept_under_another_name(tmp_path: Path) -> None:
    new = NewFile(tmp_path / "a", b"new", keep_as=tmp_path / "a.old")
    writer.write([new], force=True)
    assert tree(tmp_path) == {"a": b"new"}
    writer.write([NewFile(tmp_path / "a", b"newer", True, tmp_path / "a.old")], force=True)
    assert tree(tmp_path) == {"a": b"newer", "a.old": b"new"}
    assert mode(tmp_path / "a.old") == 0o600


def raise_no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("force", [False, True])
def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    if force:
        writer.write(three(tmp_path, b"old"))
    monkeypatch.setattr(os, "link", raise_no_links)
    writer.write(three(tmp_path), force=force)
    assert tree(tmp_path) == {"sub/a.crt": b"a new", "b.key": b"b new", "c.pfx": b"c new"}


def test_somebody_elses_file_that_appears_meanwhile_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def rival(descriptor: int) -> None:
        real(descriptor)
        (tmp_path / "c.pfx").write_bytes(b"rival")

    monkeypatch.setattr(os, "fsync", rival)
    with pytest.raises(UserError, match="File exists"):
        writer.write(three(tmp_path))
    assert tree(tmp_path) == {"c.pfx": b"rival"}


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "b.key").mkdir()
    with pytest.raises(UserError, match=r"b\.key is not a file"):
        writer.write(three(tmp_path), force=True)
    assert tree(tmp_path) == {}
