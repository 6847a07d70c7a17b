"""Faults that a device orders for itself, with which Microsoft's own tests try their SDKs (docs/protocol.md §3.13).

MQTT 3.1.1 gives no reason: whatever the fault, the device sees its connection end. The event says what it was.
"""

from __future__ import annotations

from datetime import timedelta

from azureiot_tools.emulator.events import Events
from azureiot_tools.emulator.hub.device import ConnectedDevice
from azureiot_tools.emulator.mqtt.session import Session
from azureiot_tools.emulator.timers import Timer, Timers

LONGEST_DELAY_S = 3600
_SECTION = "docs/protocol.md §3.13"
_FAULTS = {
    "KillTcp": "the connection was cut",
    "ShutDownMqtt": "the connection was ended",
    "InvokeThrottling": "the hub had too much to do (429002)",
    "InvokeMaxMessageQuota": "the day's quota of messages was used up (403002)",
    "InvokeAuthError": "the device was no longer authorized (401003)",
}


class Faults:
    """The faults that the devices of one hub have ordered."""

    def __init__(self, events: Events, timers: Timers) -> None:
        self._events = events
        self._timers = timers
        self._waiting: dict[str, Timer] = {}  # by session

    def order(self, session: Session[ConnectedDevice], properties: dict[str, str | None]) -> None:
        """Take the order of a message, if it is one. The last one counts."""
        name = properties.get("AzIoTHub_FaultOperationType")
        if name is None:
            return
        fault = _FAULTS.get(name)
        delay = properties.get("AzIoTHub_FaultOperationDelayInSecs") or "0"
        if fault is None or not delay.isascii() or not delay.isdecimal() or len(delay) > 4:
            text = f"'{name}' after '{delay}' seconds is no fault here: {', '.join(_FAULTS)}, 0 to {LONGEST_DELAY_S}"
            self._events.publish("telemetry", session.name, text, _SECTION)
            return
        self.left(session)
        why = f"{fault}, as the device has ordered ({name})"
        due = self._timers.now() + timedelta(seconds=min(int(delay), LONGEST_DELAY_S))
        self._waiting[session.name] = self._timers.at(due, lambda: self._happen(session, why))

    def left(self, session: Session[ConnectedDevice]) -> None:
        """The connection has gone, and the fault with it."""
        timer = self._waiting.pop(session.name, None)
        if timer is not None:
            timer.cancel()

    def _happen(self, session: Session[ConnectedDevice], why: str) -> None:
        if session.link is not None:
            session.link.close("dropped", why, _SECTION)
