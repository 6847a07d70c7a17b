"""An installation from beginning to end: take the board over, check it, fill the idle slot, switch, start, listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from azureiot_tools.board import contents, identity, slots
from azureiot_tools.board.progress import Bar
from azureiot_tools.board.slots import File, Slots
from azureiot_tools.board.transport import Board
from azureiot_tools.console import UserError

ERASED_BYTES = 64 * 1024  # a dot of onboard.fill

# How boot.py is recognised as ours, of whatever release.
_OURS = "azureiot board flash"
# Each is a commit of about 100 bytes to the root directory; a block of 4096 that is full is written anew, in its twin.
_RENEW_ROOT = """
for _ in range(200):
    with open("/renew", "wb") as file:
        file.write(bytes(64))
remove("/renew")
"""
_BOOT_KIND = """
with open({path!r}) as f: t = f.read()
print("ours" if {ours!r} in t else "empty" if all(l.strip()[:1] in ("", "#") for l in t.split("\\n")) else "other")
"""


@dataclass(frozen=True)
class Installed:
    """What an installation did. kept_boot: where a boot.py of the user's own has gone, or ""."""

    slot: str
    files: int
    sent_files: int
    sent_bytes: int
    copied_files: int
    kept_boot: str


def install(
    board: Board, wanted: Callable[[Board, Slots], Mapping[str, File]], say: Callable[[str], None]
) -> Installed:
    """Put the wanted files onto a board that was taken over, verified, and make them what it starts.

    wanted: is asked for the files once it is known what the board has.  say: called with a sentence for each stage.

    Raises UserError: firmware too old, no room (both before anything is written), flash full, a file that reads back
    otherwise, a board that stops answering. In every case, a power cut included, the board starts what it started
    before, and running this again completes it.
    """
    found = identity.read(board)
    identity.check_version(found)
    say(f"{found.machine}, {found.firmware}, on {board.port}")
    slots.prepare(board)
    state = slots.read(board)
    files = wanted(board, state)
    plan = slots.plan(state, files)
    # First of all: without it /current means nothing; with it, and no /current yet, the board only offers the REPL.
    kept_boot = _install_boot(board, state.boot)
    if plan is None:
        assert state.running
        return Installed(state.running, len(files), 0, 0, 0, kept_boot)
    say(
        f"slot {plan.slot}: {len(plan.send)} files to send ({plan.send_bytes / 1024:.0f} KB), "
        f"{len(plan.copy)} to copy on the board, {len(files) - len(plan.send) - len(plan.copy)} there already"
    )
    with Bar("sending", plan.send_bytes) as bar:
        slots.install(board, plan, bar.add)
    return Installed(plan.slot, len(files), len(plan.send), plan.send_bytes, len(plan.copy), kept_boot)


def everything(files: Mapping[str, bytes]) -> dict[str, File]:
    """A whole installation."""
    return {path: File.of(data) for path, data in files.items()}


def certificates_only(state: Slots, files: Mapping[str, bytes]) -> dict[str, File]:
    """What runs, with other certificates.

    Raises UserError when nothing runs yet.
    """
    if state.running is None:
        raise UserError("There is no installation on this board yet.", "Run this without --only certs.")
    kept = {path: file for path, file in state.installed.items() if not path.startswith("certs/")}
    return {**kept, **everything(files)}


def start(board: Board, now: datetime | None = None) -> None:
    """Set the board's clock and restart it.

    now: an aware time, the present by default.
    """
    identity.set_clock(board, now or datetime.now(UTC))
    board.restart()


def _install_boot(board: Board, present: File | None) -> str:
    """Write boot.py unless ours is there; a copy of somebody's own is kept. Returns where, or ""."""
    kind = "missing"
    if present:
        kind = board.run(_BOOT_KIND.format(path=slots.BOOT, ours=_OURS)).strip()
    if kind == "ours":
        return ""
    if kind == "other":
        board.run(f"copy({slots.BOOT!r}, {slots.KEPT_BOOT!r})")
    slots.replace(board, slots.BOOT, contents.boot())
    return slots.KEPT_BOOT if kind == "other" else ""


def erase_secrets(board: Board, progress: Callable[[], None]) -> None:
    """Remove all that was installed, and the boot.py of before, and erase every block they may have been in.

    Deleting a file leaves its bytes in the flash until the block is used again. Taking all free blocks erases them:
    those of files, and those of the directories that held small files, an EC key among them. The root directory, which
    remains in use and may have held a small boot.py, is written again and again until both of its blocks are new.

    progress: called for each ERASED_BYTES.

    Raises UserError.
    """
    slots.prepare(board)
    for path in (slots.CURRENT, f"{slots.CURRENT}.new", slots.KEPT_BOOT, "/slots"):
        board.run(f"remove({path!r})")
    board.run("fill('/fill')", progress=progress)
    board.run(_RENEW_ROOT)


def flash_bytes(board: Board) -> int:
    """The size of the board's file system, nearly all of which erase_secrets erases."""
    block_bytes, blocks = map(int, board.run("import os; v = os.statvfs('/'); print(v[0], v[3])").split())
    return block_bytes * blocks
