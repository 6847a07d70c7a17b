"""A kind of record as a table of SQLite: the columns are the dataclass's fields."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints


class Keyed(Protocol):
    """A record (records.py). KEY: the names of the fields by which it is found."""

    KEY: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[dict[str, Any]]


Record = TypeVar("Record", bound=Keyed)


class Table(Generic[Record]):
    """The table of one kind of record."""

    def __init__(self, db: sqlite3.Connection, record: type[Record], collation: str = "BINARY") -> None:
        self._db = db
        self._record = record
        self._name = record.__name__
        types = get_type_hints(record)
        self._columns = {field.name: types[field.name] for field in fields(record)}
        columns = ", ".join(
            f"{name} {_sql_type(type_, collation if name in record.KEY else 'BINARY')}"
            for name, type_ in self._columns.items()
        )
        db.execute(f"CREATE TABLE IF NOT EXISTS {self._name} ({columns}, PRIMARY KEY ({', '.join(record.KEY)}))")

    def put(self, record: Record, **changes: object) -> None:
        values = [_to_sql(changes.get(name, getattr(record, name))) for name in self._columns]
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR REPLACE INTO {self._name} VALUES ({marks})", values)

    def get(self, *key: str | int) -> Record | None:
        return next(self.select(self._where_key(), *key), None)

    def select(self, clause: str, *values: str | int) -> Iterator[Record]:
        names = ", ".join(self._columns)
        for row in self._db.execute(f"SELECT {names} FROM {self._name} {clause}", values):
            yield self._record(*map(_from_sql, row, self._columns.values()))

    def delete(self, *key: str | int) -> bool:
        return self._db.execute(f"DELETE FROM {self._name} {self._where_key()}", key).rowcount > 0

    def _where_key(self) -> str:
        return "WHERE " + " AND ".join(f"{name} = ?" for name in self._record.KEY)


def _sql_type(type_: Any, collation: str) -> str:
    if type_ in (bool, int, int | None):
        return "INTEGER"
    return "BLOB" if type_ is bytes else f"TEXT COLLATE {collation}"


def _to_sql(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return json.dumps([base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in value])
    return json.dumps(value) if isinstance(value, dict) else value


def _from_sql(value: Any, type_: Any) -> Any:
    if value is None:
        return None
    if type_ is datetime:
        return datetime.fromisoformat(value)
    if type_ is bool:
        return bool(value)
    if type_ == tuple[bytes, ...]:
        return tuple(base64.b64decode(item) for item in json.loads(value))
    if type_ == tuple[str, ...]:
        return tuple(json.loads(value))
    return json.loads(value) if "dict" in str(type_) else value
