"""`azureiot service`: what one would do in Azure's portal, done to the emulator through its service API."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from azureiot_tools.commands import service_hub
from azureiot_tools.commands.service_api import client_of, leaf
from azureiot_tools.console import Report, UserError, printable, shell_word, table
from azureiot_tools.emulator.ids import same_id
from azureiot_tools.settings import number


def add(commands: Any) -> None:
    """Add `service` and its subcommands."""
    parser = commands.add_parser("service", help="upload CAs, enroll devices, see registrations, in the local emulator")
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    _add_cert(parts)
    _add_enroll(parts)

    registrations = leaf(parts, "registrations", "devices that DPS has assigned", _registrations)
    registrations.add_argument("--group", metavar="ID", help="only those of this enrollment group")

    devices = leaf(parts, "devices", "devices that the hubs know; enable, disable, delete one", _devices)
    actions = devices.add_subparsers(title="actions", metavar="ACTION")
    for action, help_ in (("enable", "let a device connect"), ("disable", "block a device"), ("delete", "forget one")):
        change = leaf(actions, action, help_, _change_device)
        change.add_argument("id", metavar="ID")
        change.set_defaults(action=action)

    service_hub.add(parts)

    events = leaf(parts, "events", "what happened lately, every refusal with its reason", _events)
    events.add_argument("--device", metavar="ID", help="only of this device")
    events.add_argument(
        "--limit", metavar="N", type=number(1, 1_000_000, int), default=100, help="at most this many, the newest (100)"
    )


def _add_cert(parts: Any) -> None:
    cert = parts.add_parser("cert", help="CA certificates: upload, prove possession, list, delete")
    actions = cert.add_subparsers(title="actions", metavar="ACTION", required=True)
    upload = leaf(actions, "upload", "upload a CA certificate (PEM or DER)", _upload)
    upload.add_argument("file", metavar="FILE")
    upload.add_argument("--name", help="its name in DPS (the file's name)")
    upload.add_argument("--verified", action="store_true", help="declare it verified, without proof of possession")
    code = leaf(actions, "code", "ask for a verification code", _code)
    code.add_argument("name", metavar="NAME")
    verify = leaf(actions, "verify", "prove possession with the verification certificate", _verify)
    verify.add_argument("name", metavar="NAME")
    verify.add_argument("file", metavar="FILE")
    leaf(actions, "list", "the uploaded CA certificates", _list_certificates)
    delete = leaf(actions, "delete", "delete a CA certificate", _delete_certificate)
    delete.add_argument("name", metavar="NAME")


def _add_enroll(parts: Any) -> None:
    enroll = parts.add_parser("enroll", help="enrollment groups and individual enrollments")
    actions = enroll.add_subparsers(title="actions", metavar="ACTION", required=True)
    group = leaf(actions, "group", "admit every device whose chain leads to a verified CA", _enroll_group)
    group.add_argument("id", metavar="ID")
    group.add_argument(
        "--ca",
        metavar="NAME",
        action="append",
        required=True,
        help="an uploaded, verified CA; a second one for the rollover",
    )
    group.add_argument("--disabled", action="store_true", help="refuse them instead")
    device = leaf(actions, "device", "admit one device by its leaf certificate", _enroll_device)
    device.add_argument("id", metavar="REGISTRATION_ID")
    device.add_argument("--cert", metavar="FILE", required=True, help="its certificate (PEM or DER; the first counts)")
    device.add_argument("--device-id", metavar="ID", help="its name at the hub (the registration id)")
    device.add_argument("--disabled", action="store_true", help="refuse it instead")
    leaf(actions, "list", "all enrollments", _list_enrollments)
    delete = leaf(actions, "delete", "delete an enrollment", _delete_enrollment)
    delete.add_argument("id", metavar="ID")
    kind = delete.add_mutually_exclusive_group()
    kind.add_argument("--group", dest="kind", action="store_const", const="group", help="the group of that id")
    kind.add_argument("--device", dest="kind", action="store_const", const="device", help="the device of that id")


def _upload(arguments: argparse.Namespace) -> Report:
    name = arguments.name or Path(arguments.file).stem
    if name.startswith("-"):
        raise UserError(f"The name '{name}' would be taken for an option.", "Give another with --name.")
    answer = client_of(arguments).upload_certificate(name, _certificate_in(arguments.file), verified=arguments.verified)
    properties = answer["properties"]
    text = (
        f"Uploaded {arguments.file} as '{name}': {properties['subject']}, SHA-1 {properties['thumbprint']}, "
        f"{_verified(answer)}."
    )
    then = _enroll_hint(name) if properties["isVerified"] else f"azureiot service cert code {shell_word(name)}"
    return Report(answer, text, then)


def _code(arguments: argparse.Namespace) -> Report:
    code = client_of(arguments).verification_code(arguments.name)
    return Report(
        {"name": arguments.name, "verificationCode": code},
        f"Verification code of '{arguments.name}': {code}",
        f"azureiot ca prove {code}",
    )


def _verify(arguments: argparse.Namespace) -> Report:
    answer = client_of(arguments).verify_certificate(arguments.name, _certificate_in(arguments.file))
    return Report(
        answer, f"'{arguments.name}' is verified: possession of its key is proven.", _enroll_hint(arguments.name)
    )


def _list_certificates(arguments: argparse.Namespace) -> Report:
    certificates = client_of(arguments).certificates()
    rows = [
        [
            one["name"],
            _verified(one),
            one["properties"]["subject"],
            one["properties"]["expiry"][:10],
            one["properties"]["thumbprint"],
        ]
        for one in certificates
    ]
    return _listing(
        certificates,
        ["NAME", "STATE", "SUBJECT", "EXPIRES", "SHA-1"],
        rows,
        "No CA certificate is uploaded.",
        "azureiot service cert upload certs/ca/root.crt",
    )


def _delete_certificate(arguments: argparse.Namespace) -> Report:
    client_of(arguments).delete_certificate(arguments.name)
    return Report({"deleted": arguments.name}, f"Deleted the CA certificate '{arguments.name}'.")


def _enroll_group(arguments: argparse.Namespace) -> Report:
    if len(arguments.ca) > 2:
        raise UserError("An enrollment group stands on at most two CAs, a primary and a secondary.", "Give --ca twice.")
    answer = client_of(arguments).create_group(arguments.id, arguments.ca, enabled=not arguments.disabled)
    what = "refuses" if arguments.disabled else "admits"
    return Report(
        answer,
        f"Enrollment group '{arguments.id}' {what} every device under {' and '.join(arguments.ca)}.",
        "azureiot device create mydevice001",
    )


def _enroll_device(arguments: argparse.Namespace) -> Report:
    answer = client_of(arguments).create_enrollment(
        arguments.id, _certificate_in(arguments.cert), device_id=arguments.device_id, enabled=not arguments.disabled
    )
    what = "refused" if arguments.disabled else "admitted"
    certificate = shell_word(Path(arguments.cert))
    thumbprint = answer["attestation"]["x509"]["clientCertificates"]["primary"]["info"]["sha256Thumbprint"]
    return Report(
        answer,
        f"'{arguments.id}' is {what} with the certificate of SHA-256 {thumbprint}.",
        f"azureiot provision --registration-id {shell_word(arguments.id)} --cert {certificate} --key FILE",
    )


def _list_enrollments(arguments: argparse.Namespace) -> Report:
    client = client_of(arguments)
    groups, enrollments = client.groups(), client.enrollments()
    rows = [["group", one["enrollmentGroupId"], one["provisioningStatus"], _group_basis(one)] for one in groups]
    rows += [
        [
            "device",
            one["registrationId"],
            one["provisioningStatus"],
            _thumbprints(one["attestation"]["x509"]["clientCertificates"]),
        ]
        for one in enrollments
    ]
    return _listing(
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


def _registrations(arguments: argparse.Namespace) -> Report:
    registrations = client_of(arguments).registrations(arguments.group)
    rows = [
        [
            one["registrationId"],
            one["status"],
            one["assignedHub"],
            one["deviceId"],
            one["x509"]["enrollmentGroupId"] or "(individual)",
            _seconds(one["lastUpdatedDateTimeUtc"]),
        ]
        for one in registrations
    ]
    return _listing(
        registrations,
        ["REGISTRATION", "STATUS", "HUB", "DEVICE", "GROUP", "UPDATED (UTC)"],
        rows,
        "No device has registered.",
        "azureiot provision --pfx certs/mydevice001.pfx",
    )


def _devices(arguments: argparse.Namespace) -> Report:
    devices = client_of(arguments).devices()
    rows = [
        [one["deviceId"], one["hub"], one["status"], one["authentication"]["x509Thumbprint"]["primaryThumbprint"]]
        for one in devices
    ]
    return _listing(
        devices,
        ["DEVICE", "HUB", "STATUS", "SHA-256 OF ITS CERTIFICATE"],
        rows,
        "The hubs know no device.",
        "azureiot provision --pfx certs/mydevice001.pfx",
    )


def _change_device(arguments: argparse.Namespace) -> Report:
    client, id = client_of(arguments), arguments.id
    if arguments.action == "delete":
        client.delete_device(id)
        return Report({"deleted": id}, f"Deleted the device '{id}'. It can register with DPS again.")
    answer = client.set_device_enabled(id, arguments.action == "enable")
    return Report(answer, f"The device '{id}' is {answer['status']}.")


def _events(arguments: argparse.Namespace) -> Report:
    events = client_of(arguments).events(arguments.device, limit=arguments.limit)
    lines = [event_line(event) for event in events]
    return Report(events, "\n".join(lines) or "Nothing has happened yet.")


def event_line(event: dict[str, Any]) -> str:
    """An event of the service API as a line of text."""
    section = f" ({event['section']})" if event["section"] else ""
    return printable(
        f"{_seconds(event['timeUtc'])}  {event['kind']:<12}  {event['deviceId'] or '-'}  {event['text']}{section}"
    )


def _listing(data: Any, headings: list[str], rows: list[list[str]], nothing: str, then: str) -> Report:
    return Report(data, table(headings, rows)) if rows else Report(data, nothing, then)


def _certificate_in(file: str) -> bytes:
    """The first certificate of a PEM or DER file, as DER; nothing else of it leaves this machine.

    Raises UserError when there is none.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from azureiot_tools.certificates import formats

    contents = formats.parse_file(Path(file))
    if not contents.certificates:
        raise UserError(f"{file} holds no certificate but {formats.summary(contents)}.", "Give the .crt file.")
    return contents.certificates[0].public_bytes(Encoding.DER)


def _verified(certificate: dict[str, Any]) -> str:
    return "verified" if certificate["properties"]["isVerified"] else "not verified"


def _enroll_hint(name: str) -> str:
    return f"azureiot service enroll group my-devices --ca {shell_word(name)}"


def _group_basis(group: dict[str, Any]) -> str:
    x509 = group["attestation"]["x509"]
    if "caReferences" in x509:
        return "CA " + ", ".join(x509["caReferences"].values())
    return _thumbprints(x509["signingCertificates"])


def _thumbprints(slots: dict[str, Any]) -> str:
    return "SHA-256 " + ", ".join(slot["info"]["sha256Thumbprint"] for slot in slots.values())


def _seconds(time: str) -> str:
    """Azure's time without the fraction: "2026-01-31 12:00:00"."""
    return time[:19].replace("T", " ")
