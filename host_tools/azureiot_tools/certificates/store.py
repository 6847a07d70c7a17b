"""Where certificates and keys live on this machine, and how they get there whole or not at all.

certs/ca/root.crt  root.key  intermediate.crt  intermediate.key      the authority
certs/NAME.crt  NAME.key  NAME.pfx                                   a device: leaf + chain (PEM), key (PKCS#8), PFX
certs/NAME.old.crt …                                                 the same before its last renewal
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from azureiot_tools.certificates import formats
from azureiot_tools.certificates.credential import Credential, common_name, key_to_pem, to_pem
from azureiot_tools.console import UserError, reason

ROOT, INTERMEDIATE = "root", "intermediate"
_OLD = ".old"


@dataclass(frozen=True)
class NewFile:
    """A file to be written. private: it holds a key, so only its owner may read it."""

    path: Path
    data: bytes
    private: bool = False


@dataclass(frozen=True)
class Written:
    """What became of a set of files. unchanged: they had exactly this content already."""

    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]


@dataclass(frozen=True)
class Store:
    """The directory of certificates; it need not exist yet."""

    directory: Path

    def certificate_path(self, level: str) -> Path:
        """The certificate of the authority; level is ROOT or INTERMEDIATE."""
        return self.directory / "ca" / f"{level}.crt"

    def authority(self, level: str) -> Credential:
        """The authority's root or intermediate. Raises UserError when there is none or its files do not fit."""
        path = self.certificate_path(level)
        if not path.exists():
            raise UserError(
                f"There is no certificate authority in {self.directory}: {path} is missing.",
                "Make one: azureiot ca create",
            )
        return formats.load_pair(path, path.with_suffix(".key"))

    def authority_files(self, level: str, credential: Credential) -> list[NewFile]:
        """The files of an authority that is about to be kept: its certificate alone, and its key."""
        path = self.certificate_path(level)
        return [
            NewFile(path, to_pem([credential.certificate])),
            NewFile(path.with_suffix(".key"), key_to_pem(credential.key), private=True),
        ]

    def device_path(self, device_id: str) -> Path:
        """The device's certificate file. Raises UserError for an id that cannot be the name of a file here."""
        if device_id.lower().endswith(_OLD):
            raise UserError(
                f'A device id ending in "{_OLD}" is kept for the files from before a renewal.', "Choose another."
            )
        if os.name == "nt" and ":" in device_id:  # NTFS would open an alternate data stream
            raise UserError(f"Windows cannot name a file {device_id!r}.", "Choose a device id without a colon.")
        return self.directory / f"{device_id}.crt"

    def device_files(self, device_id: str, credential: Credential, pfx: bytes) -> list[NewFile]:
        """The files of a device: leaf + chain, key, PFX."""
        path = self.device_path(device_id)
        return [
            NewFile(path, to_pem(credential.certificates)),
            NewFile(path.with_suffix(".key"), key_to_pem(credential.key), private=True),
            NewFile(path.with_suffix(".pfx"), pfx, private=True),
        ]

    def old_files(self, device_id: str) -> list[NewFile]:
        """The device's files of now, under the names they keep when new ones take their place."""
        now = [self.device_path(device_id).with_suffix(suffix) for suffix in (".crt", ".key", ".pfx")]
        return [
            NewFile(
                path.with_name(f"{device_id}{_OLD}{path.suffix}"),
                formats.read_bytes(path),
                private=path.suffix != ".crt",
            )
            for path in now
            if path.exists()
        ]

    def devices(self) -> Iterator[tuple[str, x509.Certificate]]:
        """(device id, leaf) of every device here, by name; other certificates in the directory are passed over."""
        for path in sorted(self.directory.glob("*.crt")):
            try:
                certificates = formats.parse(formats.read_bytes(path), path).certificates
            except UserError:
                continue
            if certificates and common_name(certificates[0]) == path.stem:
                yield path.stem, certificates[0]


def refuse_existing(paths: Iterable[Path], hint: str = "Give --force to replace it.") -> None:
    """Raise UserError naming the first path that exists already. hint: what the user can do."""
    for path in paths:
        if os.path.lexists(path):
            raise UserError(f"{path} exists already and nothing was written.", hint)


def write(files: Sequence[NewFile], *, force: bool = False) -> Written:
    """Write all the files or, whatever happens (a full disk, Ctrl-C), none of them.

    Existing files with other content are a conflict unless `force`. New content is written beside its destination and
    then takes its name in one step, so nobody ever sees half a file. A power cut between two such steps may leave only
    the first of a pair; whoever reads a pair compares key and certificate.

    Raises UserError when a file exists with other content, or cannot be written.
    """
    pending = [file for file in files if _current(file.path) != file.data]
    unchanged = [file for file in files if file not in pending]
    if not force:
        refuse_existing(file.path for file in pending)
    steps = [_Step(file) for file in pending]
    try:
        for step in steps:
            step.stage()
        for step in steps:
            step.publish(force)
        for file in unchanged:
            if file.private:
                file.path.chmod(0o600)
    except BaseException as error:
        for step in reversed(steps):
            step.undo()
        if isinstance(error, OSError):
            names = ", ".join(str(file.path) for file in files)
            raise UserError(f"Nothing was written of {names}: {reason(error)}.") from None
        raise
    finally:
        for step in steps:
            step.clean()
    return Written(tuple(file.path for file in pending), tuple(file.path for file in unchanged))


class _Step:
    """One file on its way: staged beside its destination, then published, or undone.

    Every name is known before anything bears it, so that an interruption at any point can be undone.
    """

    def __init__(self, file: NewFile) -> None:
        self._file = file
        token = secrets.token_hex(4)
        self._new = file.path.with_name(f".{file.path.name}.{token}.new")
        self._kept = file.path.with_name(f".{file.path.name}.{token}.kept")
        self._inode: int | None = None

    def stage(self) -> None:
        self._new.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(self._new, flags, 0o600 if self._file.private else 0o644), "wb") as stream:
            self._inode = os.fstat(stream.fileno()).st_ino
            stream.write(self._file.data)
            stream.flush()
            os.fsync(stream.fileno())

    def publish(self, force: bool) -> None:
        if force and os.path.lexists(self._file.path):
            _link(self._file.path, self._kept)
            os.replace(self._new, self._file.path)
        else:
            _link(self._new, self._file.path)  # fails if somebody else has taken the name since it was free

    def undo(self) -> None:
        path = self._file.path
        if os.path.lexists(self._kept):
            os.replace(self._kept, path)
        elif self._inode is not None and os.path.lexists(path) and path.lstat().st_ino == self._inode:
            path.unlink()

    def clean(self) -> None:
        self._new.unlink(missing_ok=True)
        self._kept.unlink(missing_ok=True)


def _link(source: Path, destination: Path) -> None:
    """Give a file a second name that must be free; where there are no hard links (FAT), the file moves to it."""
    try:
        os.link(source, destination)
    except FileExistsError:
        raise
    except OSError:
        os.rename(source, destination)


def _current(path: Path) -> bytes | None:
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file.", "Name another.")  # /dev/null, a directory: never replaced
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}.") from None
