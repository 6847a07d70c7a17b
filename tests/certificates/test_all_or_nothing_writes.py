"""Pins that files are written whole or not at all: half a key pair, or an old key lost, cannot be mended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from azureiot_tools.certificates import store
from azureiot_tools.certificates.store import NewFile
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
        done = store.write(three(tmp_path))
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

    def watch_open(path: str, flags: int, permissions: int) -> int:
        descriptor = real_open(path, flags, permissions)
        opened.append((os.fstat(descriptor).st_mode & 0o777, os.fstat(descriptor).st_size))
        return descriptor

    monkeypatch.setattr(os, "fsync", watch)
    monkeypatch.setattr(os, "open", watch_open)
    store.write([NewFile(tmp_path / "a.key", b"secret", private=True)])
    assert opened == [(0o600, 0)]
    assert modes == [0o600]


def test_nothing_is_overwritten_and_nothing_else_written(tmp_path: Path) -> None:
    (tmp_path / "c.pfx").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"c\.pfx exists already and nothing was written"):
        store.write(three(tmp_path))
    assert tree(tmp_path) == {"c.pfx": b"precious"}


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "b.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="exists already"):
        store.write(three(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


def test_force_replaces(tmp_path: Path) -> None:
    store.write(three(tmp_path, b"old"))
    done = store.write(three(tmp_path), force=True)
    assert len(done.written) == 3
    assert tree(tmp_path) == {"sub/a.crt": b"a new", "b.key": b"b new", "c.pfx": b"c new"}


def test_same_content_counts_as_unchanged_and_is_made_private(tmp_path: Path) -> None:
    store.write(three(tmp_path))
    (tmp_path / "b.key").chmod(0o644)
    (tmp_path / "c.pfx").unlink()
    before = (tmp_path / "sub" / "a.crt").stat()
    done = store.write(three(tmp_path))
    assert [path.name for path in done.unchanged] == ["a.crt", "b.key"]
    assert [path.name for path in done.written] == ["c.pfx"]
    assert (tmp_path / "sub" / "a.crt").stat() == before
    assert mode(tmp_path / "b.key") == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("step", "force"), [("fsync", False), ("link", False), ("fsync", True), ("link", True), ("replace", True)]
)
@pytest.mark.parametrize("calls_before", [0, 1, 2])
@pytest.mark.parametrize("after_the_deed", [False, True])
def test_an_interruption_at_any_point_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    step: str,
    calls_before: int,
    after_the_deed: bool,
    force: bool,
) -> None:
    if force:
        store.write(three(tmp_path, b"old"))
    before = tree(tmp_path)
    calls = []
    real: Callable[..., None] = getattr(os, step)

    def failing(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == calls_before + 1:
            if after_the_deed:
                real(*arguments)
            raise error
        real(*arguments)

    if step == "link" and isinstance(error, OSError):
        real = os.rename  # where links fail, files move; and now that fails too
        monkeypatch.setattr(os, "rename", failing)
        monkeypatch.setattr(os, "link", raise_no_links)
    else:
        monkeypatch.setattr(os, step, failing)
    with pytest.raises((UserError, KeyboardInterrupt)) as caught:
        store.write(three(tmp_path), force=force)
    monkeypatch.undo()
    assert tree(tmp_path) == before
    if isinstance(error, OSError):
        assert "Nothing was written of" in str(caught.value)
        assert "No space left on device" in str(caught.value)


def raise_no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("force", [False, True])
def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    if force:
        store.write(three(tmp_path, b"old"))
    monkeypatch.setattr(os, "link", raise_no_links)
    store.write(three(tmp_path), force=force)
    assert tree(tmp_path) == {"sub/a.crt": b"a new", "b.key": b"b new", "c.pfx": b"c new"}


def test_somebody_elses_file_that_appears_meanwhile_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def rival(descriptor: int) -> None:
        real(descriptor)
        (tmp_path / "c.pfx").write_bytes(b"rival")

    monkeypatch.setattr(os, "fsync", rival)
    with pytest.raises(UserError, match="File exists"):
        store.write(three(tmp_path))
    assert tree(tmp_path) == {"c.pfx": b"rival"}


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "b.key").mkdir()
    with pytest.raises(UserError, match=r"b\.key is not a file"):
        store.write(three(tmp_path), force=True)
    assert tree(tmp_path) == {}
