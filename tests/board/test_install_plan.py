"""An installation sends only what the board lacks, and refuses before writing what cannot fit."""

from __future__ import annotations

import pytest

from azureiot_tools.board import slots
from azureiot_tools.board.slots import File, Slots
from azureiot_tools.console import UserError

APP, LIBRARY, KEY = File.of(b"app" * 2000), File.of(b"library" * 1000), File.of(b"key")
WANTED = {"main.py": APP, "azureiot/link.mpy": LIBRARY, "certs/device.key.der": KEY}
DIRECTORIES = {"/slots", "/slots/a", "/slots/a/azureiot", "/slots/a/certs"}


def board(running: str | None = None, free_blocks: int = 500, directories: set[str] | None = None, **files) -> Slots:
    """A board's slots; files: a={path: File}, b={…}."""
    there = {"a": files.get("a", {}), "b": files.get("b", {})}
    return Slots(running, there, frozenset(directories or ()), None, 4096, free_blocks)


def planned(state: Slots, wanted: dict[str, File]) -> slots.Plan:
    plan = slots.plan(state, wanted)
    assert plan is not None
    return plan


def test_a_bare_board_gets_everything_in_slot_a() -> None:
    plan = planned(board(), WANTED)
    assert plan.slot == "a"
    assert set(plan.send) == WANTED.keys()
    assert plan.send_bytes == 6000 + 7000 + 3
    assert set(plan.directories) == DIRECTORIES
    assert list(plan.directories) == sorted(plan.directories), "a directory comes before those in it"
    assert plan.remove == ()


def test_nothing_is_to_do_when_the_running_slot_is_equal() -> None:
    assert slots.plan(board("a", a=dict(WANTED), directories=DIRECTORIES), WANTED) is None


@pytest.mark.parametrize("difference", ["extra file", "missing file", "other content"])
def test_any_difference_of_the_running_slot_counts(difference: str) -> None:
    there = dict(WANTED)
    if difference == "extra file":
        there["old.mpy"] = KEY
    elif difference == "missing file":
        del there["main.py"]
    else:
        there["main.py"] = File.of(b"x" * APP.size_bytes)
    plan = planned(board("b", b=there), WANTED)
    assert plan.slot == "a", "never into the running slot"


def test_what_the_running_slot_has_is_copied_whatever_its_name_there() -> None:
    plan = planned(board("b", b={"main.py": APP, "azureiot/renamed.mpy": LIBRARY}), WANTED)
    assert plan.copy == {"main.py": "/slots/b/main.py", "azureiot/link.mpy": "/slots/b/azureiot/renamed.mpy"}
    assert plan.send == ("certs/device.key.der",)


def test_what_the_idle_slot_has_already_stays_and_the_rest_of_it_goes() -> None:
    there = {"main.py": APP, "azureiot/link.mpy": File.of(b"half"), "lib/old.mpy": LIBRARY, "certs/device.key.der": KEY}
    plan = planned(board("a", b=there, directories={"/slots", "/slots/b", "/slots/b/lib", "/slots/b/lib/x"}), WANTED)
    assert plan.send == ("azureiot/link.mpy",)
    assert plan.copy == {}
    assert plan.remove == ("/slots/b/azureiot/link.mpy", "/slots/b/lib/old.mpy", "/slots/b/lib/x", "/slots/b/lib"), (
        "stale files first, then directories from the inside out"
    )


def test_a_directory_in_the_place_of_a_file_is_removed() -> None:
    plan = planned(board("a", directories={"/slots", "/slots/b", "/slots/b/main.py"}), WANTED)
    assert "/slots/b/main.py" in plan.remove


def test_a_slot_that_current_does_not_name_is_not_trusted_as_running() -> None:
    plan = planned(board(None, a=dict(WANTED), directories=DIRECTORIES), WANTED)
    assert (plan.slot, plan.send, dict(plan.copy), plan.remove) == ("a", (), {}, ())


def test_too_little_space_is_said_with_numbers() -> None:
    with pytest.raises(UserError) as refused:
        slots.plan(board(free_blocks=10), WANTED)
    # 2 + 2 + 1 blocks of files, 4 directories of 2, 4 in reserve
    assert "needs 68 KB of the board's flash and 40 KB are free; nothing was written." in str(refused.value)


def test_space_that_stale_files_give_back_counts() -> None:
    stale = {f"old{number}.mpy": File.of(bytes(4000)) for number in range(7)}
    plan = planned(board(free_blocks=10, a=stale, directories=DIRECTORIES), WANTED)
    assert len(plan.remove) == 7


def test_tiny_stale_files_give_no_block_back() -> None:
    """They live inside their directory's block (littlefs inlines them)."""
    stale = {f"old{number}": File.of(bytes([number])) for number in range(30)}
    with pytest.raises(UserError, match="KB are free"):
        slots.plan(board(free_blocks=4, a=stale), WANTED)


def test_a_files_content_is_not_in_its_repr() -> None:
    """A traceback or a log of a plan must not show a key."""
    assert "secret" not in repr(File.of(b"secret"))
