"""Messages on their way to the hub: those that wait, and those sent but not yet acknowledged. It outlives a session."""

from azureiot.errors import AzureIoTError


class Message:
    """A message; `delivered` becomes True when the hub has acknowledged it.

    properties: the property bag that ends its topic. Which device's topic that is, is known when it is sent.
    """

    def __init__(self, properties: bytes, payload: bytes):
        self.properties = properties
        self.payload = payload
        self.packet_id = 0  # given when it is first sent
        self.delivered = False


class Outbox:
    """window: how many messages may be unacknowledged at once.  max_waiting: how many may wait besides."""

    def __init__(self, window: int, max_waiting: int):
        self._window = window
        self._max_waiting = max_waiting
        self._waiting = []
        self._sent = []  # oldest first

    def put(self, message: Message) -> None:
        """Take a message. Raises AzureIoTError when too many wait."""
        if len(self._waiting) >= self._max_waiting:
            raise AzureIoTError("%d messages are waiting already." % len(self._waiting), "queue-full", True)
        self._waiting.append(message)

    def forget(self, message: Message) -> None:
        """Give a message up; a late acknowledgement of it is ignored."""
        for messages in (self._waiting, self._sent):
            if message in messages:
                messages.remove(message)

    def send(self, session, prefix: bytes) -> None:
        """Send what the window and the session take; after a reconnection the old ones again, as duplicates.

        prefix: what topics begin with.
        """
        while self._waiting and session.idle and len(self._sent) < self._window:
            message = self._waiting[0]
            again = message.packet_id != 0
            if not again:
                message.packet_id = session.next_packet_id()
            session.publish(prefix + message.properties, message.payload, message.packet_id, again)
            self._sent.append(self._waiting.pop(0))

    def acknowledged(self, packet_id: int) -> None:
        """The hub has the message with this packet id."""
        for message in self._sent:
            if message.packet_id == packet_id:
                message.delivered = True
                self._sent.remove(message)
                return

    def disconnected(self) -> None:
        """What is not acknowledged waits again, in the order in which it was first sent."""
        self._waiting = self._sent + self._waiting
        self._sent = []
