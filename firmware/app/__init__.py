"""The application on a board: Wi-Fi, clock, Azure, and a reading every so often. `app.main` is where to read on."""

import sys


def log(words: str) -> None:
    """One line on the console."""
    print("azureiot: " + words)


def once(name: str):
    """The module app.NAME, for one use: when the caller lets go of it, its memory is free again.

    What runs only at the start or after a failure would otherwise take the heap that TLS needs later.
    """
    path = "app." + name
    module = getattr(__import__(path), name)
    del sys.modules[path]
    delattr(sys.modules["app"], name)
    return module
