"""The conversation with DPS over a session: subscribe, register, poll when it is time (docs/protocol.md §1)."""

from azureiot.errors import AzureIoTError
from azureiot.runtime import const

_ANSWER_MS = const(30000)  # how long DPS may take for an answer
_FOREVER_MS = const(0x3FFFFFF)


class Provisioner:
    """A session's handler for as long as it is DPS that it talks to.

    registration: the protocol, a provisioning.Registration.
    clock: what has ticks_ms and ticks_diff.  session: to be set once there is one.
    """

    def __init__(self, registration, clock, session=None):
        self.session = session
        self._registration = registration
        self._clock = clock
        self._timer_ms = 0  # when the timer was set, for how long; None: not set
        self._timer_length_ms = None

    def advance(self) -> None:
        """Ask DPS if it is time to. Raises AzureIoTError when DPS owes an answer for too long."""
        if self._left_ms() > 0 or not self.session.idle:
            return
        if self._registration.unanswered:
            raise AzureIoTError("DPS did not answer.", "timeout", True, cause="no-answer")
        topic, payload = self._registration.request()
        self.session.publish(topic.encode(), payload.encode(), self.session.next_packet_id())
        self._set_timer(_ANSWER_MS)

    def timeout_ms(self) -> int:
        """Milliseconds until `advance` has something to do."""
        return self._left_ms() if self.session.idle else _FOREVER_MS

    def on_connected(self, session_present):
        self.session.subscribe(self._registration.responses)

    def on_subscribed(self, granted_qos):
        if granted_qos == 0x80:
            raise AzureIoTError("DPS refused the subscription to its answers.", "suback", True)
        self._set_timer(0)

    def on_acknowledged(self, packet_id):
        pass  # the answer counts

    def on_message(self, topic, payload, packet_id):
        if packet_id:
            self.session.acknowledge(packet_id)
        wait_s = self._registration.receive(topic, bytes(payload))
        if wait_s is not None:
            self._set_timer(wait_s * 1000)

    def on_oversized(self, packet_bytes, packet_id):
        text = "DPS sent an answer of %d bytes, more than max_packet_bytes." % packet_bytes
        raise AzureIoTError(text, "dps-answer", cause="dps-long")

    def _set_timer(self, length_ms):
        self._timer_ms = self._clock.ticks_ms()
        self._timer_length_ms = length_ms

    def _left_ms(self):
        if self._timer_length_ms is None:
            return _FOREVER_MS
        return self._timer_length_ms - self._clock.ticks_diff(self._clock.ticks_ms(), self._timer_ms)
