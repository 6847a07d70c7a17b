"""The two slots of a board: what is in them, what an installation must therefore do, and doing it.

A slot is a whole installation: application, library, certificates and settings. boot.py starts the one that /current
names. Everything goes into the other one, is verified, and one rename of /current makes it the running one: a power
cut at any moment leaves the old or the new installation, never a mixture (docs/micropython.md §5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from azureiot_tools.board.transport import Board, BoardRefused
from azureiot_tools.console import UserError

CURRENT, BOOT, KEPT_BOOT = "/current", "/boot.py", "/boot.before.py"
_NAMES = ("a", "b")
_ENOSPC = 28
# littlefs: directories are pairs of blocks, and what is written last must find room before what it replaces is freed.
_DIRECTORY_BLOCKS = 2
_RESERVE_BLOCKS = 4
_INLINE_BYTES = 512  # files up to an eighth of a block live inside their directory


@dataclass(frozen=True)
class File:
    """A file on a board, or for it. data: None when only the board has its content."""

    size_bytes: int
    sha256: str
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: bytes) -> File:
        return cls(len(data), hashlib.sha256(data).hexdigest(), data)

    def same(self, other: File | None) -> bool:
        """Whether the contents are equal."""
        return other is not None and (self.size_bytes, self.sha256) == (other.size_bytes, other.sha256)


@dataclass(frozen=True)
class Slots:
    """What the board has. running: the slot that /current names, if it is there; files: by slot, then path within."""

    running: str | None
    files: Mapping[str, Mapping[str, File]]
    directories: frozenset[str]
    boot: File | None
    block_bytes: int
    free_blocks: int

    @property
    def idle(self) -> str:
        """The slot that the next installation goes to."""
        return "b" if self.running == "a" else "a"

    @property
    def installed(self) -> Mapping[str, File]:
        """The files of the running slot."""
        return self.files[self.running] if self.running else {}


@dataclass(frozen=True)
class Plan:
    """What turns the idle slot into the wanted installation. All paths are within the slot but copy's values."""

    slot: str
    wanted: Mapping[str, File]
    remove: tuple[str, ...]
    directories: tuple[str, ...]
    copy: Mapping[str, str]  # path: where on the board the same content is
    send: tuple[str, ...]

    @property
    def send_bytes(self) -> int:
        """What has to pass over the line."""
        return sum(self.wanted[path].size_bytes for path in self.send)


def prepare(board: Board) -> None:
    """Give the board the functions of onboard.py, which all others here use."""
    board.run(Path(__file__).with_name("onboard.py").read_text(encoding="utf-8"))


def read(board: Board) -> Slots:
    """What is on the board; writes nothing."""
    files: dict[str, dict[str, File]] = {name: {} for name in _NAMES}
    directories = set()
    boot = None
    for path, file in _show(board, BOOT, "/slots"):
        if file is None:
            directories.add(path)
        elif path == BOOT:
            boot = file
        elif path[:7] == "/slots/" and path[7:8] in _NAMES and path[8:9] == "/":
            files[path[7]][path[9:]] = file
    current = board.run(f"try:\n with open({CURRENT!r}) as f: print(f.read(9))\nexcept OSError: pass").strip()
    running = current if current in _NAMES and files[current] else None
    block_bytes, free_blocks = map(int, board.run("v = os.statvfs('/'); print(v[0], v[3])").split())
    return Slots(running, files, frozenset(directories), boot, block_bytes, free_blocks)


def plan(slots: Slots, wanted: Mapping[str, File]) -> Plan | None:
    """How the wanted files get into the idle slot; None when the running slot is exactly that already.

    Raises UserError when they do not fit.
    """
    if _equal(slots.installed, wanted):
        return None
    idle, there = slots.idle, slots.files[slots.idle]
    elsewhere = {file.sha256: f"/slots/{slots.running}/{path}" for path, file in slots.installed.items()}
    missing = [path for path, file in wanted.items() if not file.same(there.get(path))]
    copy = {path: elsewhere[wanted[path].sha256] for path in missing if wanted[path].sha256 in elsewhere}
    top = f"/slots/{idle}"
    needed = sorted({"/slots", top, *(f"{top}/{parent}" for path in wanted for parent in _parents(path))})
    stale = [path for path in there if path not in wanted or path in missing]
    # a directory where there is none wanted any more, or where a file is to be
    empty = [path for path in slots.directories if path.startswith(f"{top}/") and path not in needed]
    result = Plan(
        slot=idle,
        wanted=wanted,
        remove=(*(f"{top}/{path}" for path in sorted(stale)), *sorted(empty, reverse=True)),
        directories=tuple(path for path in needed if path not in slots.directories),
        copy=copy,
        send=tuple(path for path in missing if path not in copy),
    )
    _check_space(slots, result, [there[path] for path in stale], [wanted[path] for path in missing])
    return result


def install(board: Board, plan: Plan, sent: Callable[[int], None]) -> None:
    """Carry the plan out: fill the idle slot, verify it, and make it the running one as the very last step.

    sent: called with the bytes of each piece that has arrived.

    Raises UserError when the flash is full or a file reads back otherwise; the running slot is as it was.
    """
    top = f"/slots/{plan.slot}"
    try:
        steps = [f"remove({path!r})" for path in plan.remove]
        steps += [f"make_directory({path!r})" for path in plan.directories]
        steps += [f"copy({source!r}, {f'{top}/{path}'!r})" for path, source in plan.copy.items()]
        board.run("\n".join(steps))
        for path in plan.send:
            data = plan.wanted[path].data
            assert data is not None, path
            board.write_file(f"{top}/{path}", data, sent)
        _verify(board, top, plan.wanted)
        switch(board, plan.slot)
    except BoardRefused as error:
        raise _full(error) from None


def switch(board: Board, slot: str) -> None:
    """Make the slot the one that boot.py starts, with one rename."""
    replace(board, CURRENT, f"{slot}\n".encode())


def replace(board: Board, path: str, data: bytes) -> None:
    """Give a file new content so that at every moment it has the old or the new."""
    new = f"{path}.new"
    board.write_file(new, data, lambda _: None)
    found = dict(_show(board, new)).get(new)
    if not File.of(data).same(found):
        raise UserError(f"{path} reads back otherwise than it was written: the board's flash may be worn out.")
    board.run(f"os.rename({new!r}, {path!r})")


def _show(board: Board, *paths: str) -> Iterator[tuple[str, File | None]]:
    """(path, file, or None for a directory) of everything at and below the paths."""
    for line in board.run("".join(f"show({path!r})\n" for path in paths)).splitlines():
        digest, size, path = line.split(" ", 2)
        yield path, None if digest == "-" else File(int(size), digest)


def _verify(board: Board, top: str, wanted: Mapping[str, File]) -> None:
    found = {path[len(top) + 1 :]: file for path, file in _show(board, top) if file is not None}
    wrong = [path for path in {**wanted, **found} if path not in wanted or not wanted[path].same(found.get(path))]
    if wrong:
        raise UserError(
            f"{', '.join(wrong)} on the board is not what was sent; the board keeps what it had.", "Run this again."
        )


def _equal(files: Mapping[str, File], wanted: Mapping[str, File]) -> bool:
    return files.keys() == wanted.keys() and all(file.same(files[path]) for path, file in wanted.items())


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])


def _check_space(slots: Slots, plan: Plan, freed: list[File], added: list[File]) -> None:
    """Refuse before anything is written what cannot fit; littlefs itself has the last word."""
    room_bytes = slots.block_bytes - 8  # each block but the first begins with pointers to earlier ones
    needed = sum(-(-file.size_bytes // room_bytes) for file in added)
    needed += _DIRECTORY_BLOCKS * len(plan.directories) + _RESERVE_BLOCKS
    available = slots.free_blocks + sum(
        -(-file.size_bytes // room_bytes) for file in freed if file.size_bytes > _INLINE_BYTES
    )
    if needed > available:
        raise UserError(
            f"The installation needs {needed * slots.block_bytes // 1024} KB of the board's flash and "
            f"{available * slots.block_bytes // 1024} KB are free; nothing was written.",
            "Remove files of your own (azureiot board shell), or use a board with more flash.",
        )


def _full(error: BoardRefused) -> UserError:
    if error.errno == _ENOSPC:
        return UserError(
            "The board's flash is full; the board keeps what it had.",
            "Remove files of your own (azureiot board shell), or use a board with more flash.",
        )
    return error
