"""Where the emulator's records are kept: one SQLite file, or memory."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from azureiot_tools.emulator.records import (
    CaCertificate,
    CloudMessage,
    DeviceIdentity,
    EnrollmentGroup,
    Feedback,
    IndividualEnrollment,
    KeptSession,
    Registration,
    Telemetry,
    Twin,
)
from azureiot_tools.emulator.table import Record, Table

SCHEMA_VERSION = 3
TELEMETRY_KEPT = 10_000
FEEDBACK_KEPT = 10_000
TELEMETRY_KEPT_BYTES = 64 * 1024 * 1024


class Registry:
    """The emulator's records, in the file `path` or, when it is None, in memory.

    Every change is committed before its method returns: it survives the process's death (not the machine's: SQLite's
    WAL with synchronous=NORMAL). Methods may be called from any thread. No other process gets at the file meanwhile,
    so that none can make the emulator wait.

    Raises sqlite3.Error when the file cannot be opened, is in use, is not a database, or is of another version; OSError
    when it cannot be made private.
    """

    def __init__(self, path: Path | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self._lock = threading.RLock()
        if path is not None:
            make_private(path)
        self._db = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise sqlite3.DatabaseError(f"schema version {version} is not {SCHEMA_VERSION}")
            self._certificates = Table(self._db, CaCertificate)
            self._groups = Table(self._db, EnrollmentGroup)
            # A registration id is case-insensitive (docs/protocol.md §1.2); a device id is not.
            self._enrollments = Table(self._db, IndividualEnrollment, collation="NOCASE")
            self._registrations = Table(self._db, Registration, collation="NOCASE")
            self._devices = Table(self._db, DeviceIdentity)
            self._twins = Table(self._db, Twin)
            self._sessions = Table(self._db, KeptSession)
            self._messages = Table(self._db, CloudMessage)
            self._db.execute("CREATE INDEX IF NOT EXISTS Queue ON CloudMessage (hub, device_id)")
            self._db.execute("CREATE INDEX IF NOT EXISTS Expiry ON CloudMessage (hub, expires)")
            self._feedback = Table(self._db, Feedback)
            self._telemetry = Table(self._db, Telemetry)
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._last_message = self._last_of("CloudMessage")
            self._last_feedback = self._last_of("Feedback")
            self._stored = self._stored_after(0)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file. The registry cannot be used afterwards."""
        with self._lock:
            self._db.close()

    # CA certificates, by name.

    def put_certificate(self, certificate: CaCertificate) -> None:
        self._put(self._certificates, certificate)

    def certificate(self, name: str) -> CaCertificate | None:
        return self._get(self._certificates, name)

    def certificates(self) -> list[CaCertificate]:
        return self._list(self._certificates)

    def delete_certificate(self, name: str) -> bool:
        return self._delete(self._certificates, name)

    # Enrollment groups, by id.

    def put_group(self, group: EnrollmentGroup) -> None:
        self._put(self._groups, group)

    def group(self, id: str) -> EnrollmentGroup | None:
        return self._get(self._groups, id)

    def groups(self) -> list[EnrollmentGroup]:
        return self._list(self._groups)

    def delete_group(self, id: str) -> bool:
        return self._delete(self._groups, id)

    # Individual enrollments, by registration id.

    def put_enrollment(self, enrollment: IndividualEnrollment) -> None:
        self._put(self._enrollments, enrollment)

    def enrollment(self, registration_id: str) -> IndividualEnrollment | None:
        return self._get(self._enrollments, registration_id)

    def enrollments(self) -> list[IndividualEnrollment]:
        return self._list(self._enrollments)

    def delete_enrollment(self, registration_id: str) -> bool:
        return self._delete(self._enrollments, registration_id)

    # Registrations, by registration id.

    def put_registration(self, registration: Registration) -> None:
        self._put(self._registrations, registration)

    def registration(self, registration_id: str) -> Registration | None:
        return self._get(self._registrations, registration_id)

    def registrations(self, group_id: str | None = None) -> list[Registration]:
        """All registrations, or those that came through one enrollment group."""
        if group_id is None:
            return self._list(self._registrations)
        return self._list(self._registrations, "WHERE enrollment_group_id = ?", group_id)

    def registrations_of(self, hub: str, device_id: str) -> list[Registration]:
        """The registrations that were given this identity: one, or none."""
        return self._list(self._registrations, "WHERE assigned_hub = ? AND device_id = ?", hub, device_id)

    def delete_registration(self, registration_id: str) -> bool:
        return self._delete(self._registrations, registration_id)

    # Device identities, by hub and device id.

    def put_device(self, device: DeviceIdentity) -> None:
        self._put(self._devices, device)

    def device(self, hub: str, device_id: str) -> DeviceIdentity | None:
        return self._get(self._devices, hub, device_id)

    def devices(self, hub: str | None = None) -> list[DeviceIdentity]:
        """The devices of one hub, or of all."""
        if hub is None:
            return self._list(self._devices)
        return self._list(self._devices, "WHERE hub = ?", hub)

    def delete_device(self, hub: str, device_id: str) -> bool:
        """Delete a device with its twin, its session and what waits for it."""
        with self._lock, self._transaction():
            self._twins.delete(hub, device_id)
            self._sessions.delete(hub, device_id)
            self._db.execute("DELETE FROM CloudMessage WHERE hub = ? AND device_id = ?", (hub, device_id))
            return self._devices.delete(hub, device_id)

    # Twins, by hub and device id.

    def put_twin(self, twin: Twin) -> None:
        self._put(self._twins, twin)

    def twin(self, hub: str, device_id: str) -> Twin | None:
        return self._get(self._twins, hub, device_id)

    # Sessions, by hub and device id.

    def put_session(self, session: KeptSession) -> None:
        self._put(self._sessions, session)

    def session(self, hub: str, device_id: str) -> KeptSession | None:
        return self._get(self._sessions, hub, device_id)

    def delete_session(self, hub: str, device_id: str) -> bool:
        return self._delete(self._sessions, hub, device_id)

    # Messages to devices, by sequence; no number is given twice while the registry is open.

    def add_message(self, message: CloudMessage) -> CloudMessage:
        """Store a message under the next number, which the one that is returned has."""
        with self._lock:
            self._last_message += 1
            message = replace(message, sequence=self._last_message)
            self._messages.put(message)
        return message

    def put_message(self, message: CloudMessage) -> None:
        self._put(self._messages, message)

    def message(self, sequence: int) -> CloudMessage | None:
        with self._lock:
            return self._messages.get(sequence)

    def messages(self, hub: str, device_id: str) -> list[CloudMessage]:
        """All that waits for one device, the oldest first."""
        return self._list(self._messages, "WHERE hub = ? AND device_id = ? ORDER BY sequence", hub, device_id)

    def count_messages(self, hub: str, device_id: str) -> int:
        """How many messages wait for one device."""
        with self._lock:
            query = "SELECT count(*) FROM CloudMessage WHERE hub = ? AND device_id = ?"
            return self._db.execute(query, (hub, device_id)).fetchone()[0]

    def next_expiry(self, hub: str) -> datetime | None:
        """When the first of a hub's messages expires."""
        with self._lock:
            found = self._db.execute("SELECT min(expires) FROM CloudMessage WHERE hub = ?", (hub,)).fetchone()[0]
        return None if found is None else datetime.fromisoformat(found)

    def expired_messages(self, hub: str, now: datetime) -> list[CloudMessage]:
        """A hub's messages that have expired by now, which is in UTC as all that is kept: so its text compares."""
        return self._list(self._messages, "WHERE hub = ? AND expires <= ? ORDER BY expires", hub, now.isoformat())

    def delete_message(self, sequence: int, feedback: Feedback | None = None) -> None:
        """Delete a message and keep what is to be said about it, both or neither. The oldest feedback gives way."""
        with self._lock, self._transaction():
            self._messages.delete(sequence)
            if feedback is not None:
                self._last_feedback += 1
                self._feedback.put(feedback, sequence=self._last_feedback)
                kept_after = self._last_feedback - FEEDBACK_KEPT
                self._db.execute("DELETE FROM Feedback WHERE sequence <= ?", (kept_after,))

    # Feedback, by sequence.

    def feedback(self, hub: str, limit: int = 100) -> list[Feedback]:
        """What a hub has to say about messages, the oldest first."""
        return self._list(self._feedback, "WHERE hub = ? ORDER BY sequence LIMIT ?", hub, limit)

    def delete_feedback(self, hub: str, through: int) -> bool:
        """Forget a hub's feedback up to this sequence; whether there was any."""
        with self._lock:
            query = "DELETE FROM Feedback WHERE hub = ? AND sequence <= ?"
            return self._db.execute(query, (hub, through)).rowcount > 0

    # Telemetry, by sequence: 1, 2, 3 … over the life of the file.

    def add_telemetry(self, items: Sequence[Telemetry]) -> None:
        """Store messages in one transaction, numbered in their order, and forget the oldest that are too many.

        The newest TELEMETRY_KEPT are kept, and no more than TELEMETRY_KEPT_BYTES of them.
        """
        with self._lock:
            last = self._stored[-1][0] if self._stored else 0
            with self._transaction():
                for sequence, item in enumerate(items, start=last + 1):
                    self._telemetry.put(item, sequence=sequence)
                stored = (self._stored + self._stored_after(last))[-TELEMETRY_KEPT:]
                total_bytes = sum(size_bytes for _, size_bytes in stored)
                oldest = 0
                while total_bytes > TELEMETRY_KEPT_BYTES:
                    total_bytes -= stored[oldest][1]
                    oldest += 1
                stored = stored[oldest:]
                self._db.execute("DELETE FROM Telemetry WHERE sequence < ?", (stored[0][0] if stored else 0,))
            self._stored = stored

    def telemetry(
        self, device_id: str | None = None, after: int = 0, limit: int = 100, most_bytes: int | None = None
    ) -> list[Telemetry]:
        """The oldest `limit` messages with a sequence above `after`, of one device or of all.

        most_bytes: fewer messages when they would be larger than this in all, but one at least; None for no such limit.
        """
        where = "WHERE sequence > ?" + (" AND device_id = ?" if device_id is not None else "") + " ORDER BY sequence"
        values = (after,) if device_id is None else (after, device_id)
        found: list[Telemetry] = []
        with self._lock:
            sizes_bytes = dict(self._stored)
            left_bytes = most_bytes
            for message in self._telemetry.select(f"{where} LIMIT ?", *values, limit):
                if left_bytes is not None:
                    left_bytes -= sizes_bytes[message.sequence]
                    if left_bytes < 0 and found:
                        break
                found.append(message)
        return found

    def _stored_after(self, sequence: int) -> list[tuple[int, int]]:
        """(sequence, bytes) of the stored messages above this one, in order."""
        size = "length(payload) + length(properties) + length(system)"
        return self._db.execute(
            f"SELECT sequence, {size} FROM Telemetry WHERE sequence > ? ORDER BY sequence", (sequence,)
        ).fetchall()

    def _last_of(self, table: str) -> int:
        return self._db.execute(f"SELECT coalesce(max(sequence), 0) FROM {table}").fetchone()[0]

    def _put(self, table: Table[Record], record: Record) -> None:
        with self._lock:
            table.put(record)

    def _get(self, table: Table[Record], *key: str) -> Record | None:
        with self._lock:
            return table.get(*key)

    def _list(self, table: Table[Record], clause: str = "", *values: str | int) -> list[Record]:
        with self._lock:
            return list(table.select(clause, *values))

    def _delete(self, table: Table[Record], *key: str) -> bool:
        with self._lock:
            return table.delete(*key)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends one by itself after some errors, a full disk among them
                self._db.execute("ROLLBACK")
            raise


def make_private(path: Path) -> None:
    """Let nobody but the owner read this file, which is made if need be: SQLite gives its other files the same mode.

    Raises OSError.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    path.chmod(0o600)
