"""`azureiot service`: what one would do in Azure's portal, done to the emulator through its service API."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from azureiot_tools.commands import service_enroll, service_hub
from azureiot_tools.commands.service_api import certificate_in, client_of, leaf, listing
from azureiot_tools.console import Report, UserError, printable, shell_word
from azureiot_tools.settings import number


def add(commands: Any) -> None:
    """Add `service` and its subcommands."""
    parser = commands.add_parser("service", help="upload CAs, enroll devices, see registrations, in the local emulator")
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    _add_cert(parts)
    service_enroll.add(parts)

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


def _upload(arguments: argparse.Namespace) -> Report:
    name = arguments.name or Path(arguments.file).stem
    if name.startswith("-"):
        raise UserError(f"The name '{name}' would be taken for an option.", "Give another with --name.")
    answer = client_of(arguments).upload_certificate(name, certificate_in(arguments.file), verified=arguments.verified)
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
    answer = client_of(arguments).verify_certificate(arguments.name, certificate_in(arguments.file))
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
    return listing(
        certificates,
        ["NAME", "STATE", "SUBJECT", "EXPIRES", "SHA-1"],
        rows,
        "No CA certificate is uploaded.",
        "azureiot service cert upload certs/ca/root.crt",
    )


def _delete_certificate(arguments: argparse.Namespace) -> Report:
    client_of(arguments).delete_certificate(arguments.name)
    return Report({"deleted": arguments.name}, f"Deleted the CA certificate '{arguments.name}'.")


def _registrations(arguments: argparse.Namespace) -> Report:
    registrations = client_of(arguments).registrations(arguments.group)
    rows = [
        [
            one["registrationId"],
            one["status"],
            one["assignedHub"],
            one["deviceId"],
            (one.get("x509") or one["symmetricKey"])["enrollmentGroupId"] or "(individual)",
            _seconds(one["lastUpdatedDateTimeUtc"]),
        ]
        for one in registrations
    ]
    return listing(
        registrations,
        ["REGISTRATION", "STATUS", "HUB", "DEVICE", "GROUP", "UPDATED (UTC)"],
        rows,
        "No device has registered.",
        "azureiot provision --pfx certs/mydevice001.pfx",
    )


def _devices(arguments: argparse.Namespace) -> Report:
    devices = [_without_keys(device) for device in client_of(arguments).devices()]
    rows = [
        [
            one["deviceId"],
            one["hub"],
            one["status"],
            one["authentication"]["x509Thumbprint"]["primaryThumbprint"] or "(symmetric key)",
        ]
        for one in devices
    ]
    return listing(
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
    answer = _without_keys(client.set_device_enabled(id, arguments.action == "enable"))
    return Report(answer, f"The device '{id}' is {answer['status']}.")


def _without_keys(device: dict[str, Any]) -> dict[str, Any]:
    """What is printed is copied, logged, shown to others."""
    return device | {
        "authentication": {name: value for name, value in device["authentication"].items() if name != "symmetricKey"}
    }


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


def _verified(certificate: dict[str, Any]) -> str:
    return "verified" if certificate["properties"]["isVerified"] else "not verified"


def _enroll_hint(name: str) -> str:
    return f"azureiot service enroll group my-devices --ca {shell_word(name)}"


def _seconds(time: str) -> str:
    """Azure's time without the fraction: "2026-01-31 12:00:00"."""
    return time[:19].replace("T", " ")
