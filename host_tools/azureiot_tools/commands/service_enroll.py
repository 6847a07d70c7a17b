"""`azureiot service enroll`: who may provision, done to the emulator's DPS through its service API."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from azureiot_tools.commands.service_api import certificate_in, client_of, leaf, listing
from azureiot_tools.console import Report, UserError, shell_word
from azureiot_tools.emulator.ids import same_id


def add(parts: Any) -> None:
    """Add `enroll` and its actions."""
    enroll = parts.add_parser("enroll", help="enrollment groups and individual enrollments")
    actions = enroll.add_subparsers(title="actions", metavar="ACTION", required=True)
    group = leaf(actions, "group", "admit every device under a verified CA, or with a key of the group", _enroll_group)
    group.add_argument("id", metavar="ID")
    basis = group.add_mutually_exclusive_group(required=True)
    basis.add_argument(
        "--ca", metavar="NAME", action="append", help="an uploaded, verified CA; a second one for the rollover"
    )
    basis.add_argument("--symmetric", action="store_true", help="by symmetric keys, which are derived from the group's")
    group.add_argument("--disabled", action="store_true", help="refuse them instead")
    device = leaf(actions, "device", "admit one device by its leaf certificate, or by a key", _enroll_device)
    device.add_argument("id", metavar="REGISTRATION_ID")
    basis = device.add_mutually_exclusive_group(required=True)
    basis.add_argument("--cert", metavar="FILE", help="its certificate (PEM or DER; the first counts)")
    basis.add_argument("--symmetric", action="store_true", help="by a symmetric key, which DPS makes")
    device.add_argument("--device-id", metavar="ID", help="its name at the hub (the registration id)")
    device.add_argument("--disabled", action="store_true", help="refuse it instead")
    key = leaf(actions, "key", "the symmetric key of a device, printed or in a file", _key)
    key.add_argument("id", metavar="ID", help="the device's enrollment, or with --for a group")
    key.add_argument("--for", dest="member", metavar="REGISTRATION_ID", help="the key of this device of the group")
    key.add_argument("--out", metavar="FILE", help="write it there, for nobody else to read, and do not print it")
    leaf(actions, "list", "all enrollments", _list_enrollments)
    delete = leaf(actions, "delete", "delete an enrollment", _delete_enrollment)
    delete.add_argument("id", metavar="ID")
    kind = delete.add_mutually_exclusive_group()
    kind.add_argument("--group", dest="kind", action="store_const", const="group", help="the group of that id")
    kind.add_argument("--device", dest="kind", action="store_const", const="device", help="the device of that id")


def _enroll_group(arguments: argparse.Namespace) -> Report:
    what = "refuses" if arguments.disabled else "admits"
    if arguments.symmetric:
        return Report(
            client_of(arguments).create_key_group(arguments.id, enabled=not arguments.disabled),
            f"Enrollment group '{arguments.id}' {what} every device with a key that is derived from its own.",
            f"azureiot service enroll key {shell_word(arguments.id)} --for mydevice001",
        )
    if len(arguments.ca) > 2:
        raise UserError("An enrollment group stands on at most two CAs, a primary and a secondary.", "Give --ca twice.")
    answer = client_of(arguments).create_group(arguments.id, arguments.ca, enabled=not arguments.disabled)
    return Report(
        answer,
        f"Enrollment group '{arguments.id}' {what} every device under {' and '.join(arguments.ca)}.",
        "azureiot device create mydevice001",
    )


def _enroll_device(arguments: argparse.Namespace) -> Report:
    what = "refused" if arguments.disabled else "admitted"
    if arguments.symmetric:
        return Report(
            client_of(arguments).create_key_enrollment(
                arguments.id, device_id=arguments.device_id, enabled=not arguments.disabled
            ),
            f"'{arguments.id}' is {what} with its symmetric key.",
            f"azureiot service enroll key {shell_word(arguments.id)}",
        )
    answer = client_of(arguments).create_enrollment(
        arguments.id, certificate_in(arguments.cert), device_id=arguments.device_id, enabled=not arguments.disabled
    )
    certificate = shell_word(Path(arguments.cert))
    thumbprint = answer["attestation"]["x509"]["clientCertificates"]["primary"]["info"]["sha256Thumbprint"]
    return Report(
        answer,
        f"'{arguments.id}' is {what} with the certificate of SHA-256 {thumbprint}.",
        f"azureiot provision --registration-id {shell_word(arguments.id)} --cert {certificate} --key FILE",
    )


def _key(arguments: argparse.Namespace) -> Report:
    from azureiot_tools.emulator.sas import derived_key

    client, id = client_of(arguments), arguments.member or arguments.id
    if arguments.member is None:
        keys = client.enrollment_keys(id)
    else:
        # The id counts as it is spelled: docs/protocol.md §1.6.
        keys = [derived_key(key, id) for key in client.group_keys(arguments.id)]
    if not keys:
        raise UserError(f"The enrollment '{arguments.id}' has no symmetric key.", "See azureiot service enroll list.")
    if arguments.out is None:
        return Report({"registrationId": id, "symmetricKey": keys[0]}, keys[0])
    from azureiot_tools.certificates.writer import NewFile, write

    write([NewFile(Path(arguments.out), f"{keys[0]}\n".encode(), private=True)])
    return Report({"registrationId": id, "file": arguments.out}, f"The key of '{id}' is in {arguments.out}.")


def _list_enrollments(arguments: argparse.Namespace) -> Report:
    client = client_of(arguments)
    groups, enrollments = client.groups(), client.enrollments()
    rows = [["group", one["enrollmentGroupId"], one["provisioningStatus"], _group_basis(one)] for one in groups]
    rows += [["device", one["registrationId"], one["provisioningStatus"], _device_basis(one)] for one in enrollments]
    return listing(
        {"enrollmentGroups": groups, "enrollments": enrollments},
        ["KIND", "ID", "STATUS", "BY"],
        rows,
        "Nothing is enrolled.",
        "azureiot service enroll group my-devices --ca NAME",
    )


def _delete_enrollment(arguments: argparse.Namespace) -> Report:
    client, id = client_of(arguments), arguments.id
    kinds = (
        [arguments.kind]
        if arguments.kind
        else [
            *("group" for one in client.groups() if one["enrollmentGroupId"] == id),
            *("device" for one in client.enrollments() if same_id(one["registrationId"], id)),
        ]
    )
    if not kinds:
        raise UserError(f"There is no enrollment '{id}'.", "See azureiot service enroll list.")
    if len(kinds) > 1:
        raise UserError(f"'{id}' is both a group and a device.", "Say which with --group or --device.")
    (client.delete_group if kinds[0] == "group" else client.delete_enrollment)(id)
    return Report(
        {"deleted": id, "kind": kinds[0]},
        f"Deleted the enrollment of the {kinds[0]} '{id}'.",
        "a device that is already assigned stays known to its hub: azureiot service devices",
    )


def _device_basis(enrollment: dict[str, Any]) -> str:
    x509 = enrollment["attestation"].get("x509")
    return _thumbprints(x509["clientCertificates"]) if x509 else "symmetric key"


def _group_basis(group: dict[str, Any]) -> str:
    x509 = group["attestation"].get("x509")
    if not x509:
        return "symmetric key"
    if "caReferences" in x509:
        return "CA " + ", ".join(x509["caReferences"].values())
    return _thumbprints(x509["signingCertificates"])


def _thumbprints(slots: dict[str, Any]) -> str:
    return "SHA-256 " + ", ".join(slot["info"]["sha256Thumbprint"] for slot in slots.values())
