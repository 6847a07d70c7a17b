"""Pins: a record comes back as it was put, also after reopening; a wrong file is refused; telemetry stays bounded."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azureiot_tools.emulator import registry as registry_module
from azureiot_tools.emulator.records import (
    CaCertificate,
    DeviceIdentity,
    EnrollmentGroup,
    IndividualEnrollment,
    Registration,
    Telemetry,
)
from azureiot_tools.emulator.registry import Registry

from .bench import NOW

CA = CaCertificate("root", b"\x30\x00\xff", True, "C0DE", NOW, NOW + timedelta(microseconds=7))
GROUP = EnrollmentGroup("group", ("root", "next"), (b"\x00\x01", b"\xff"), False, ("localhost",), NOW, NOW)
ENROLLMENT = IndividualEnrollment(
    "MyDevice",
    None,
    (b"leaf",),
    True,
    (),
    NOW,
    NOW,
    allocation="static",
    updates_hub=False,
    migrates_data=False,
    initial_twin={"tags": {"site": None}},
    keys=("cHJpbWFyeQ==", "c2Vjb25kYXJ5"),
)
REGISTRATION = Registration(
    "MyDevice",
    "MyDevice",
    "localhost",
    "group",
    "assigned",
    "initialAssignment",
    None,
    None,
    "A1",
    "B2",
    NOW,
    NOW,
    "etag",
    {"payload": [1]},
)
DEVICE = DeviceIdentity("localhost", "MyDevice", "123", True, ("AB", "CD"), NOW, NOW)
MESSAGE = Telemetry(0, "localhost", "MyDevice", b'{"t":1}\x00', {"alert": None, "a": ""}, {"$.ct": "text"}, NOW)


def put_everything(registry: Registry) -> None:
    registry.put_certificate(CA)
    registry.put_group(GROUP)
    registry.put_enrollment(ENROLLMENT)
    registry.put_registration(REGISTRATION)
    registry.put_device(DEVICE)
    registry.add_telemetry([MESSAGE])


def check_everything(registry: Registry) -> None:
    assert registry.certificates() == [CA]
    assert registry.certificate("root") == CA
    assert registry.groups() == [GROUP]
    assert registry.group("group") == GROUP
    assert registry.enrollments() == [ENROLLMENT]
    assert registry.enrollment("MyDevice") == ENROLLMENT
    assert registry.registrations() == [REGISTRATION]
    assert registry.registration("MyDevice") == REGISTRATION
    assert registry.devices() == [DEVICE]
    assert registry.device("localhost", "MyDevice") == DEVICE
    assert registry.telemetry() == [replace(MESSAGE, sequence=1)]


def test_every_record_comes_back(registry: Registry) -> None:
    put_everything(registry)
    check_everything(registry)


def test_everything_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for _ in range(2):
        registry = Registry(path, lambda: NOW)
        if not registry.certificates():
            put_everything(registry)
        check_everything(registry)
        registry.close()


def test_putting_again_replaces(registry: Registry) -> None:
    registry.put_device(DEVICE)
    registry.put_device(replace(DEVICE, enabled=False, thumbprints=("EF",)))
    assert [(one.enabled, one.thumbprints) for one in registry.devices()] == [(False, ("EF",))]


def test_deleting_says_whether_there_was_one(registry: Registry) -> None:
    put_everything(registry)
    for delete in (
        lambda: registry.delete_certificate("root"),
        lambda: registry.delete_group("group"),
        lambda: registry.delete_enrollment("mydevice"),
        lambda: registry.delete_registration("mydevice"),
        lambda: registry.delete_device("localhost", "MyDevice"),
    ):
        assert delete() is True
        assert delete() is False
    assert registry.certificate("root") is None
    assert registry.device("localhost", "MyDevice") is None


def test_registration_ids_ignore_case_and_device_ids_do_not(registry: Registry) -> None:
    """docs/protocol.md §1.2."""
    put_everything(registry)
    assert registry.enrollment("MYDEVICE") == ENROLLMENT
    assert registry.registration("mydevice") == REGISTRATION
    assert registry.device("localhost", "mydevice") is None
    registry.put_registration(replace(REGISTRATION, registration_id="MYDEVICE", status="failed"))
    assert [one.status for one in registry.registrations()] == ["failed"]


def test_records_are_listed_by_group_and_by_hub(registry: Registry) -> None:
    registry.put_registration(REGISTRATION)
    registry.put_registration(replace(REGISTRATION, registration_id="other", enrollment_group_id=None))
    registry.put_device(DEVICE)
    registry.put_device(replace(DEVICE, hub="second"))
    assert registry.registrations("group") == [REGISTRATION]
    assert registry.devices("localhost") == [DEVICE]
    assert len(registry.devices()) == 2


def test_telemetry_is_read_in_pages(registry: Registry) -> None:
    registry.add_telemetry([MESSAGE, replace(MESSAGE, device_id="other"), MESSAGE])
    registry.add_telemetry([MESSAGE])
    assert [one.sequence for one in registry.telemetry()] == [1, 2, 3, 4]
    assert [one.sequence for one in registry.telemetry("MyDevice")] == [1, 3, 4]
    assert [one.sequence for one in registry.telemetry("MyDevice", after=1, limit=1)] == [3]
    assert registry.telemetry("nobody") == []


def test_only_the_newest_telemetry_is_kept(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "TELEMETRY_KEPT", 3)
    for size in (2, 2, 5):
        registry.add_telemetry([MESSAGE] * size)
        assert len(registry.telemetry()) <= 3
    assert [one.sequence for one in registry.telemetry()] == [7, 8, 9]


def test_the_kept_telemetry_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 messages with a full property bag each are a hundred MB and more."""
    monkeypatch.setattr(registry_module, "TELEMETRY_KEPT_BYTES", 10_000)
    path = tmp_path / "state.db"
    registry = Registry(path, lambda: NOW)
    for _ in range(3):
        registry.add_telemetry([replace(MESSAGE, payload=b"x" * 3_000), replace(MESSAGE, properties={"x" * 3_000: ""})])
    assert [one.sequence for one in registry.telemetry()] == [4, 5, 6]
    registry.close()
    registry = Registry(path, lambda: NOW)
    registry.add_telemetry([replace(MESSAGE, system={"x": "x" * 3_000})])
    assert [one.sequence for one in registry.telemetry()] == [5, 6, 7]
    registry.add_telemetry([MESSAGE])
    assert [one.sequence for one in registry.telemetry()] == [5, 6, 7, 8]
    registry.close()


def test_an_answer_is_bounded_in_bytes_but_never_empty_for_that(registry: Registry) -> None:
    registry.add_telemetry([replace(MESSAGE, payload=b"x" * 1_000)] * 4)
    assert [one.sequence for one in registry.telemetry(most_bytes=2_500)] == [1, 2]
    assert [one.sequence for one in registry.telemetry(after=2, most_bytes=10)] == [3]
    assert [one.sequence for one in registry.telemetry(limit=1, most_bytes=2_500)] == [1]


def test_sequences_go_on_after_reopening(tmp_path: Path) -> None:
    for expected in ([1], [1, 2]):
        registry = Registry(tmp_path / "state.db", lambda: NOW)
        registry.add_telemetry([MESSAGE])
        assert [one.sequence for one in registry.telemetry()] == expected
        registry.close()


def test_a_failed_batch_leaves_nothing(registry: Registry) -> None:
    with pytest.raises(sqlite3.Error):
        registry.add_telemetry([MESSAGE, replace(MESSAGE, payload=object())])  # pyright: ignore[reportArgumentType]
    assert registry.telemetry() == []
    registry.add_telemetry([MESSAGE])
    assert [one.sequence for one in registry.telemetry()] == [1]


class _FailingCommits(sqlite3.Connection):
    """A disk that is full for one commit: SQLite rolls some transactions back by itself and leaves others open."""

    failures: ClassVar[list[bool]] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.failures:
            if self.failures.pop():
                super().execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(sql, *values)


@pytest.mark.parametrize("rolled_back", [True, False])
def test_a_failed_commit_does_not_wedge_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rolled_back: bool
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **more: connect(*given, factory=_FailingCommits, **more))
    registry = Registry(tmp_path / "state.db", lambda: NOW)
    monkeypatch.setattr(_FailingCommits, "failures", [rolled_back])
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        registry.add_telemetry([MESSAGE])
    registry.put_device(DEVICE)
    registry.add_telemetry([MESSAGE])
    assert [one.sequence for one in registry.telemetry()] == [1]
    registry.close()


def test_no_other_process_can_make_it_wait(tmp_path: Path) -> None:
    """A lock that another process holds would stop every device for as long."""
    path = tmp_path / "state.db"
    registry = Registry(path, lambda: NOW)
    with closing(sqlite3.connect(path, timeout=0)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    registry.put_device(DEVICE)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Registry(path, lambda: NOW)
    registry.close()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM DeviceIdentity").fetchone() == (1,)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("existing", [True, False])
def test_nobody_else_may_read_it(tmp_path: Path, existing: bool) -> None:
    """All of its files, and from their first byte: SQLite gives the others the mode of the first."""
    before = os.umask(0o022)
    try:
        if existing:
            (tmp_path / "state.db").touch(mode=0o644)
        registry = Registry(tmp_path / "state.db", lambda: NOW)
        put_everything(registry)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        registry.close()
    finally:
        os.umask(before)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look at\n" * 50)
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        Registry(path, lambda: NOW)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={registry_module.SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(sqlite3.DatabaseError, match="schema version"):
        Registry(path, lambda: NOW)


def test_threads_may_share_it(registry: Registry) -> None:
    """Tests and the plugin look at the registry of an emulator that runs in a thread of its own."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(30):
                registry.put_device(replace(DEVICE, device_id=f"d{number}-{i}"))
                registry.add_telemetry([MESSAGE])
                registry.devices()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(registry.devices()) == 120
    assert [one.sequence for one in registry.telemetry(limit=1000)] == list(range(1, 121))


@given(payload=st.binary(max_size=64), properties=st.dictionaries(st.text(), st.none() | st.text(), max_size=4))
def test_any_payload_and_properties_come_back(payload: bytes, properties: dict[str, str | None]) -> None:
    registry = Registry(None, lambda: NOW)
    registry.add_telemetry([replace(MESSAGE, payload=payload, properties=properties)])
    (stored,) = registry.telemetry()
    assert (stored.payload, stored.properties) == (payload, properties)
    registry.close()
