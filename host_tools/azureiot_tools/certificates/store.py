"""Where certificates and keys live on this machine.

certs/ca/root.crt  root.key  intermediate.crt  intermediate.key      the authority
certs/NAME.crt  NAME.key  NAME.pfx                                   a device: leaf + chain (PEM), key (PKCS#8), PFX
certs/NAME.old.crt …                                                 the same before its last renewal
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from azureiot_tools.certificates import formats
from azureiot_tools.certificates.credential import Credential, common_name, key_to_pem, to_pem
from azureiot_tools.certificates.options import certs_option
from azureiot_tools.certificates.writer import NewFile
from azureiot_tools.console import UserError

ROOT, INTERMEDIATE = "root", "intermediate"
_OLD = ".old"


@dataclass(frozen=True)
class Store:
    """The directory of certificates; it need not exist yet."""

    directory: Path

    def certificate_path(self, level: str) -> Path:
        """The certificate of the authority; level is ROOT or INTERMEDIATE."""
        return self.directory / "ca" / f"{level}.crt"

    def authority_certificate(self, level: str) -> x509.Certificate:
        """The certificate of the authority's root or intermediate; its key may be elsewhere.

        Raises UserError when there is none.
        """
        path = self._existing_certificate(level)
        found = formats.parse_file(path).certificates
        if not found:
            raise UserError(f"{path} holds no certificate.")
        return found[0]

    def authority(self, level: str) -> Credential:
        """The authority's root or intermediate. Raises UserError when there is none or its files do not fit."""
        path = self._existing_certificate(level)
        return formats.load_pair(path, path.with_suffix(".key"))

    def _existing_certificate(self, level: str) -> Path:
        path = self.certificate_path(level)
        if not path.exists():
            raise UserError(
                f"There is no certificate authority in {self.directory}: {path} is missing.",
                f"Make one: azureiot ca create{certs_option(self.directory)}",
            )
        return path

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

    def device_files(
        self, device_id: str, credential: Credential, pfx: bytes, *, renewed: bool = False
    ) -> list[NewFile]:
        """The files of a device: leaf + chain, key, PFX. renewed: those that are there now are kept as ID.old.*."""
        path = self.device_path(device_id)
        data = {".crt": to_pem(credential.certificates), ".key": key_to_pem(credential.key), ".pfx": pfx}
        return [
            NewFile(
                path.with_suffix(suffix),
                content,
                private=suffix != ".crt",
                keep_as=path.with_name(f"{device_id}{_OLD}{suffix}") if renewed else None,
            )
            for suffix, content in data.items()
        ]

    def devices(self) -> Iterator[tuple[str, x509.Certificate]]:
        """(device id, leaf) of every device here, by name; other certificates in the directory are passed over."""
        for path in sorted(path for path in self.directory.glob("*.crt") if path.is_file()):
            try:
                certificates = formats.parse(formats.read_bytes(path), path).certificates
            except UserError:
                continue
            if certificates and common_name(certificates[0]) == path.stem:
                yield path.stem, certificates[0]
