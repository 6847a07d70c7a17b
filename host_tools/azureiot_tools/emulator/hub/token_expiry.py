"""A connection lasts no longer than the token that opened it, and some grace (docs/protocol.md §3.9)."""

from __future__ import annotations

from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.session import Session
from azureiot_tools.emulator.timers import Timer, Timers


class TokenExpiry:
    """Cuts the connections of one hub when their time is over."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._waiting: dict[str, Timer] = {}  # by session

    def connected(self, session: Session[ConnectedDevice]) -> None:
        """The device has been let in."""
        until = session.principal.until
        if until is not None:
            self._waiting[session.name] = self._timers.at(until, lambda: self._end(session))

    def left(self, session: Session[ConnectedDevice]) -> None:
        """The device's connection has gone."""
        timer = self._waiting.pop(session.name, None)
        if timer is not None:
            timer.cancel()

    def _end(self, session: Session[ConnectedDevice]) -> None:
        if session.link is not None:
            session.link.close(
                "dropped",
                "the SAS token has expired, and the grace is over: a device connects again with a new one before that",
                "docs/protocol.md §3.9",
            )
