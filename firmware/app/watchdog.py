"""The hardware watchdog: resets the board when the program hangs. It cannot be stopped once it runs."""


class Watchdog:
    """machine: the module.  timeout_s: how long the program may hang; None: there is no watchdog.

    longest_ms: the most this board can do, 0 for no limit. A name server that is slow to answer holds the program up
    for up to 20 seconds, so a shorter time-out restarts boards that are well.
    """

    def __init__(self, machine, timeout_s: "int | None", longest_ms: int = 0):
        self._hardware = None
        if timeout_s:
            timeout_ms = timeout_s * 1000
            self._hardware = machine.WDT(timeout=min(timeout_ms, longest_ms) if longest_ms else timeout_ms)

    def feed(self) -> None:
        """The program has got on. Never to be called from a timer or an interrupt: they go on while a program hangs."""
        if self._hardware:
            self._hardware.feed()
