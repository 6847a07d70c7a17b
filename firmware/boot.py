"""Chooses what this board runs. `azureiot board flash` writes this file once and never updates it.

/current names the slot, a or b; /slots/a and /slots/b are whole installations. MicroPython runs main.py relative to
the current directory, after this file; where there is nothing to run, the current directory stays / and the REPL comes.
"""

import os
import sys
import time

# A watchdog that the application has started cannot be stopped again (docs/micropython.md §8): for this long a host can
# take over with Ctrl-C before anything else runs.
_WINDOW_S = 2


def _start():
    """Enter the current slot; or the reason why not."""
    try:
        with open("/current", "rb") as file:
            slot = file.read(16).strip()
    except OSError:
        return "nothing is installed: there is no /current"
    if slot not in (b"a", b"b"):
        return "/current names neither slot a nor b"
    slot = str(slot, "utf8")
    folder = "/slots/" + slot
    try:
        os.stat(folder + "/main.py")
    except OSError:
        return "slot %s has no main.py" % slot
    print("azureiot: slot %s starts in %d s, Ctrl-C for the REPL" % (slot, _WINDOW_S))
    try:
        time.sleep(_WINDOW_S)
    except KeyboardInterrupt:
        return "slot %s was not started, Ctrl-D starts it" % slot
    os.chdir(folder)
    sys.path.insert(0, folder)


_reason = _start()
if _reason:
    print("azureiot: " + _reason)
del _reason, _start
