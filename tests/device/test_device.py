"""A device's life, driven by hand: DPS then hub, backoff, refusals, and no message lost over a reconnection."""

import json

from azureiot.credentials import X509
from azureiot.device import CONNECTING, IDLE, ONLINE, PROVISIONING, WAITING, Engine
from azureiot.runtime import NAME
from fakes import Clock, FakeLink, connack, puback, publish, published, raises, suback


class World:
    """An engine, its clock, and every link it opened."""

    def __init__(self, **options):
        self.clock = Clock()
        self.links = []
        self.fraction = 1.0
        settings = {
            "id_scope": "0ne1",
            "registration_id": "dev-1",
            "credential": X509("never.crt", "read.key"),
            "roots": b"\x30\x00",
        }
        settings.update(options)
        self.engine = Engine(clock=self.clock, open_link=self.open_link, random=lambda: self.fraction, **settings)
        self.engine._context = "a context"

    def open_link(self, host, port, context, clock):
        assert clock is self.clock, "every part keeps the same time"
        self.links.append(FakeLink(host, port, context))
        return self.links[-1]

    @property
    def link(self):
        return self.links[-1]

    def step(self, *received):
        for data in received:
            self.link.feed(data)
        self.engine.step()
        self.engine.step()
        return [] if not self.links or self.link.closed else self.link.take()

    def provisioned(self):
        """Through DPS up to the moment the hub's link is opened."""
        self.engine.start()
        self.step(connack())
        self.step(suback(1))
        self.step(publish("$dps/registrations/res/200/?$rid=1", assigned("hub-1"), 1))

    def online(self):
        self.provisioned()
        self.step(connack())
        assert self.engine.phase == ONLINE


def assigned(hub):
    return json.dumps({"status": "assigned", "registrationState": {"assignedHub": hub, "deviceId": "dev-1"}}).encode()


def assigning():
    return json.dumps({"operationId": "5.x", "status": "assigning"}).encode()


def test_from_dps_to_the_hub():
    world = World()
    world.engine.start()
    assert world.engine.phase == PROVISIONING
    assert world.link.host == "global.azure-devices-provisioning.net"
    connect = world.step()[0]
    assert b"\x00\x05dev-1" in connect[1] and b"0ne1/registrations/dev-1/api-version=" in connect[1]
    assert world.step(connack()) == [(0x82, b"\x00\x01\x00\x18$dps/registrations/res/#\x01")]
    topic, _, packet_id = published(world.step(suback(1))[0])
    assert topic == "$dps/registrations/PUT/iotdps-register/?$rid=1"
    # 202 with retry-after: acknowledged at once, asked again only after the wait
    sent = world.step(puback(packet_id), publish("$dps/registrations/res/202/?$rid=1&retry-after=3", assigning(), 9))
    assert sent == [(0x40, b"\x00\x09")]
    assert world.engine.timeout_ms() == 3000
    world.clock.now_ms += 2999
    assert world.step() == []
    world.clock.now_ms += 1
    topic, _, packet_id = published(world.step()[0])
    assert topic == "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.x"
    dps = world.link
    world.step(puback(packet_id), publish("$dps/registrations/res/200/?$rid=2", assigned("hub-1"), 10))
    assert dps.closed and dps.take()[-1] == (0xE0, b"")
    assert len(world.links) == 2 and world.link.host == "hub-1"
    assert world.engine.phase == CONNECTING
    connect = world.step()
    world.step(connack())
    assert world.engine.phase == ONLINE
    assert (world.engine.hub, world.engine.device_id) == ("hub-1", "dev-1")


def test_the_hubs_link_is_only_opened_when_dps_is_closed():
    world = World()
    opened = world.open_link

    def open_link(*arguments):
        assert all(link.closed for link in world.links), "two TLS sessions at once do not fit a board"
        return opened(*arguments)

    world.engine._open_link = open_link
    world.online()
    assert len(world.links) == 2


def test_after_the_assignment_the_hubs_name_is_asked_for_at_once():
    world = World()
    world.engine.start()
    world.step(connack())
    world.step(suback(1))
    opened = world.open_link

    def open_link(*arguments):
        opened(*arguments).opening = [NAME, NAME]
        return world.link

    world.engine._open_link = open_link
    world.link.feed(publish("$dps/registrations/res/200/?$rid=1", assigned("hub-1"), 1))
    assert world.engine.step() == NAME


def test_provisioning_alone_ends_idle():
    world = World()
    world.engine.start(connect=False)
    world.step(connack())
    world.step(suback(1))
    world.step(publish("$dps/registrations/res/200/?$rid=1", assigned("hub-1"), 1))
    assert world.engine.phase == IDLE
    assert world.engine.hub == "hub-1"
    assert len(world.links) == 1 and world.link.closed


def test_a_known_hub_needs_no_dps():
    world = World(id_scope=None, registration_id=None, hub="hub-2", device_id="dev-2")
    world.engine.start()
    assert world.link.host == "hub-2"
    assert b"\x00\x05dev-2" in world.step()[0][1]


def test_too_little_to_connect_is_said():
    for options in ({"credential": None}, {"id_scope": None}, {"registration_id": None}):
        error = raises(World(**options).engine.start, "settings")
        assert "id_scope" in error.message
    raises(lambda: World(id_scope=None, hub="h").engine.start(connect=False), "settings")


def test_names_are_asked_for_not_resolved():
    world = World()
    world.engine.start()
    world.link.opening = [NAME, NAME]
    assert world.engine.step() == NAME


def test_telemetry_is_delivered_when_it_is_acknowledged():
    world = World()
    world.online()
    message = world.engine.queue({"t": 1}, {"alert": "true"})
    topic, payload, packet_id = published(world.step()[-1])
    assert topic == "devices/dev-1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&alert=true"
    assert json.loads(payload) == {"t": 1}
    assert not message.delivered
    world.step(puback(packet_id + 5))  # somebody else's
    assert not message.delivered
    world.step(puback(packet_id))
    assert message.delivered


def test_text_and_bytes():
    world = World()
    world.online()
    world.engine.queue("grün")
    world.engine.queue(b"\x00\xff", message_id="7")
    sent = [published(packet) for packet in world.step()[-2:]]
    assert sent[0][:2] == ("devices/dev-1/messages/events/%24.ce=utf-8", "grün".encode())
    assert sent[1][:2] == ("devices/dev-1/messages/events/%24.mid=7", b"\x00\xff")


def test_too_long_and_too_many_are_refused_before_they_are_queued():
    world = World(max_waiting=2)
    error = raises(lambda: world.engine.queue(b"x" * 262145), "too-long")
    assert not error.retryable
    world.engine.queue(b"1")
    world.engine.queue(b"2")
    assert raises(lambda: world.engine.queue(b"3"), "queue-full").retryable


def test_the_window_bounds_what_is_unacknowledged():
    world = World(window=2)
    world.online()
    for number in range(5):
        world.engine.queue(b"%d" % number)
    first = [published(packet) for packet in world.step()[-2:]]
    assert [payload for _, payload, _ in first] == [b"0", b"1"]
    assert world.step() == []
    then = world.step(puback(first[0][2]))
    assert [published(packet)[1] for packet in then] == [b"2"]


def test_after_a_lost_connection_the_unacknowledged_come_again_first_and_in_order():
    world = World()
    world.online()
    messages = [world.engine.queue(b"%d" % number) for number in range(3)]
    sent = [published(packet) for packet in world.step()[-3:]]
    world.step(puback(sent[0][2]))
    world.link.ended = True
    world.engine.step()
    assert world.engine.phase == WAITING
    messages.append(world.engine.queue(b"3"))
    assert world.engine.timeout_ms() == 1000
    world.clock.now_ms += 1000
    world.step()
    assert world.engine.phase == CONNECTING
    again = world.step(connack())
    assert [packet[0] for packet in again] == [0x3A, 0x3A, 0x32]  # DUP twice, then the new one
    resent = [published(packet) for packet in again]
    assert [payload for _, payload, _ in resent] == [b"1", b"2", b"3"]
    assert [packet_id for _, _, packet_id in resent[:2]] == [sent[1][2], sent[2][2]]
    assert resent[2][2] not in [packet_id for _, _, packet_id in sent]
    for _, _, packet_id in resent:
        world.step(puback(packet_id))
    assert all(message.delivered for message in messages)


def test_backoff_doubles_and_is_capped():
    world = World(id_scope=None, hub="h", device_id="d")
    world.engine.start()
    waits = []
    for _ in range(9):
        world.link.ended = True
        world.engine.step()
        waits.append(world.engine.timeout_ms())
        world.clock.now_ms += waits[-1]
        world.engine.step()
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 64000, 100000, 100000]


def test_jitter_is_full():
    world = World(id_scope=None, hub="h", device_id="d")
    world.fraction = 0.25
    world.engine.start()
    world.link.ended = True
    world.engine.step()
    assert world.engine.timeout_ms() == 250


def test_a_stable_connection_makes_failures_forgotten():
    for online_ms, expected_ms in ((59000, 4000), (61000, 1000)):
        world = World(id_scope=None, hub="h", device_id="d", keep_alive_s=0)
        world.engine.start()
        for _ in range(2):
            world.link.ended = True
            world.engine.step()
            world.clock.now_ms += world.engine.timeout_ms()
            world.engine.step()
        world.step(connack())
        world.clock.now_ms += online_ms
        world.link.ended = True
        world.engine.step()
        assert world.engine.timeout_ms() == expected_ms


def test_closing_a_good_connection_makes_failures_forgotten():
    world = World(id_scope=None, hub="h", device_id="d")
    for _ in range(3):  # once a day: one failure, then connect, send, close
        world.engine.start()
        world.link.ended = True
        world.engine.step()
        assert world.engine.timeout_ms() == 1000
        world.clock.now_ms += 1000
        world.engine.step()
        world.step(connack())
        world.engine.close()


def test_dps_that_does_not_answer_is_given_up():
    world = World()
    world.engine.start()
    world.step(connack())
    packet_id = published(world.step(suback(1))[0])[2]
    world.step(puback(packet_id))
    assert world.engine.timeout_ms() == 30000
    world.clock.now_ms += 30000
    world.engine.step()
    assert world.engine.phase == WAITING
    assert world.engine.error.code == "timeout" and "DPS" in world.engine.error.message


def test_a_permanent_refusal_is_raised_after_any_number_of_failures():
    world = World()
    world.engine.start()
    for _ in range(12):
        world.link.ended = True
        world.engine.step()
        world.clock.now_ms += world.engine.timeout_ms()
        world.engine.step()
    world.step(connack())
    world.step(suback(1))
    refusal = b'{"errorCode": 401002, "message": "Invalid certificate."}'
    world.link.feed(publish("$dps/registrations/res/401/?$rid=1", refusal, 1))
    raises(world.engine.step, 401002)


def test_a_fresh_assignment_to_a_hub_that_never_comes_up_is_given_up():
    world = World()
    world.provisioned()
    hosts = []
    for _ in range(11):
        hosts.append(world.link.host)
        world.link.ended = True
        world.engine.step()
        world.clock.now_ms += world.engine.timeout_ms()
        world.engine.step()
    assert hosts[:10] == ["hub-1"] * 10 and hosts[10].startswith("global.azure")


def test_a_message_queued_before_the_assignment_goes_to_the_assigned_device():
    world = World()
    world.engine.start()
    world.engine.queue(b"early")
    world.step(connack())
    world.step(suback(1))
    other = json.dumps({"status": "assigned", "registrationState": {"assignedHub": "h", "deviceId": "machine-7"}})
    world.step(publish("$dps/registrations/res/200/?$rid=1", other.encode(), 1))
    sent = world.step(connack())
    assert published(sent[-1])[:2] == ("devices/machine-7/messages/events/", b"early")


def test_a_blocked_link_is_not_asked_again_and_again():
    world = World()
    world.engine.start()
    world.step(connack())
    world.link.window = 0
    world.link.feed(suback(1))
    world.engine.step()  # the request is due and cannot leave
    world.clock.now_ms += 5000
    world.engine.step()
    assert world.engine.timeout_ms() > 1000


def test_settings_that_cannot_be():
    for keep_alive_s in (-1, 65536, 70000):
        raises(lambda keep_alive_s=keep_alive_s: World(keep_alive_s=keep_alive_s), "settings")


def test_packets_that_are_too_long_are_counted():
    world = World(max_packet_bytes=2000)
    world.online()
    sent = world.step(publish("a", b"x" * 3000, 9))
    assert sent == [(0x40, b"\x00\x09")]
    assert world.engine.skipped == 1


def test_a_hub_that_refuses_a_fresh_assignment_is_permanent():
    world = World()
    world.provisioned()
    world.link.feed(connack(5))
    error = raises(world.engine.step, "connack-5")
    assert "not authorized" in error.message
    assert world.engine.phase == IDLE


def test_a_hub_that_refuses_an_old_assignment_leads_back_to_dps():
    world = World(hub="hub-old")
    world.engine.start()
    assert world.link.host == "hub-old"
    world.step(connack(5))
    assert world.engine.phase == WAITING
    world.clock.now_ms += 1000
    world.engine.step()
    assert world.engine.phase == PROVISIONING
    assert world.link.host.startswith("global.azure")


def test_ten_failures_lead_back_to_dps():
    world = World(hub="hub-old")
    world.engine.start()
    hosts = []
    for _ in range(11):
        hosts.append(world.link.host)
        world.link.ended = True
        world.engine.step()
        world.clock.now_ms += world.engine.timeout_ms()
        world.engine.step()
    assert hosts[:10] == ["hub-old"] * 10
    assert hosts[10].startswith("global.azure")


def test_a_refusal_by_dps_is_raised_and_ends_politely():
    world = World()
    world.engine.start()
    world.step(connack())
    world.step(suback(1))
    refusal = json.dumps({"errorCode": 401002, "trackingId": "t-1", "message": "CA certificate not found."}).encode()
    world.link.feed(publish("$dps/registrations/res/401/?$rid=1", refusal, 1))
    error = raises(world.engine.step, 401002)
    assert error.tracking_id == "t-1"
    assert world.link.closed and world.link.take()[-1] == (0xE0, b"")


def test_a_refused_subscription():
    world = World()
    world.engine.start()
    world.step(connack())
    world.link.feed(suback(1, 0x80))
    world.engine.step()
    assert world.engine.phase == WAITING
    assert world.engine.error.code == "suback"


def test_throttling_keeps_the_connection():
    world = World()
    world.engine.start()
    world.step(connack())
    world.step(suback(1))
    world.step(puback(2), publish("$dps/registrations/res/429/?$rid=1&retry-after=5", b'{"errorCode": 429001}', 1))
    assert world.engine.phase == PROVISIONING
    assert world.engine.timeout_ms() == 5000
    world.clock.now_ms += 5000
    assert published(world.step()[0])[0] == "$dps/registrations/PUT/iotdps-register/?$rid=2"


def test_closing_keeps_what_waits():
    world = World()
    world.online()
    world.engine.queue(b"1")
    world.step()
    world.engine.close()
    assert world.engine.phase == IDLE and world.link.closed
    assert len(world.engine._outbox._waiting) == 1
    assert world.engine.step() == 0
