"""boot.py: enters the slot that /current names, after two seconds that belong to the host; else leaves the REPL."""

import sys

BOOT = __file__.replace("\\", "/").rpartition("/")[0] or "."
BOOT += "/../../firmware/boot.py"


class File:
    def __init__(self, data):
        self.data = data

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def read(self, size):
        return self.data[:size]


class Board:
    """files: path → bytes. What boot.py does is recorded in `did`, in order."""

    def __init__(self, interrupted=False, **files):
        self.files = {"/" + name.replace("_", "/"): data for name, data in files.items()}
        self.interrupted = interrupted
        self.did = []

    # The modules os and time.

    def stat(self, path):
        if path.replace(".", "/") not in self.files:
            raise OSError(2)

    def chdir(self, path):
        self.did.append(("chdir", path))

    def sleep(self, seconds):
        self.did.append(("sleep", seconds))
        if self.interrupted:
            raise KeyboardInterrupt

    def open(self, path, mode):
        if path not in self.files:
            raise OSError(2)
        return File(self.files[path])

    def boot(self):
        """Run boot.py; the lines it printed and what it put on sys.path."""
        with open(BOOT) as file:
            source = file.read()
        lines = []
        kept = {name: sys.modules.get(name) for name in ("os", "time")}
        path = list(sys.path)
        try:
            sys.modules["os"] = sys.modules["time"] = self
            exec(source, {"open": self.open, "print": lines.append, "__name__": "__main__"})
            added = [entry for entry in sys.path if entry not in path]
        finally:
            sys.path[:] = path
            for name in kept:
                if kept[name] is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = kept[name]
        return lines, added


def test_the_slot_is_entered_after_the_window():
    board = Board(current=b"b\n", slots_b_main_py=b"")
    lines, added = board.boot()
    assert lines == ["azureiot: slot b starts in 2 s, Ctrl-C for the REPL"]
    assert board.did == [("sleep", 2), ("chdir", "/slots/b")]
    assert added == ["/slots/b"]


def test_ctrl_c_in_the_window_leaves_the_repl():
    board = Board(interrupted=True, current=b"a", slots_a_main_py=b"")
    lines, added = board.boot()
    assert len(lines) == 2
    assert "not started" in lines[1]
    assert board.did == [("sleep", 2)]
    assert added == []


def test_an_empty_board_says_so_and_does_not_wait():
    board = Board()
    lines, added = board.boot()
    assert lines == ["azureiot: nothing is installed: there is no /current"]
    assert board.did == []
    assert added == []


def test_a_current_that_names_no_slot_starts_nothing():
    for current in (b"", b"c", b"../a", b"\xff\xfe", b"a" * 40):
        board = Board(current=current, slots_a_main_py=b"")
        lines, _ = board.boot()
        assert len(lines) == 1
        assert "/current" in lines[0]
        assert board.did == []


def test_a_slot_without_main_starts_nothing():
    board = Board(current=b"a", slots_b_main_py=b"")
    lines, _ = board.boot()
    assert lines == ["azureiot: slot a has no main.py"]
    assert board.did == []
