"""`azureiot service twin|send|invoke`: what a back end does with its devices, done through the emulator's hub."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from azureiot_tools.commands.service_api import client_of, leaf
from azureiot_tools.console import Report, UserError, shell_word
from azureiot_tools.settings import number

# What HTTP lets a header's name be, for a property's name becomes a part of one.
_NAME = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-][A-Za-z0-9!#$%&'*+.^_`|~-]*")


def add(parts: Any) -> None:
    """Add `twin`, `send` and `invoke`."""
    twin = leaf(parts, "twin", "show a device's twin; change its desired properties and tags", _twin)
    twin.add_argument("id", metavar="ID")
    twin.add_argument("--desired", metavar="JSON", help="merge this into the desired properties; null removes")
    twin.add_argument("--tags", metavar="JSON", help="merge this into the tags; null removes")

    send = leaf(parts, "send", "send a cloud-to-device message; it waits if the device is away", _send)
    send.add_argument("id", metavar="ID")
    send.add_argument("text", metavar="TEXT")
    send.add_argument(
        "--property", metavar="NAME=VALUE", action="append", default=[], help="an application property; may be repeated"
    )
    send.add_argument("--message-id", metavar="ID")
    send.add_argument("--content-type", metavar="TYPE", help="for example application/json")
    send.add_argument(
        "--ack", choices=("none", "positive", "negative", "full"), default="none", help="which feedback is kept (none)"
    )

    invoke = leaf(
        parts, "invoke", "call a direct method of a device that is connected, and wait for its answer", _invoke
    )
    invoke.add_argument("id", metavar="ID")
    invoke.add_argument("method", metavar="METHOD")
    invoke.add_argument("payload", metavar="JSON", nargs="?", default="null", help="what the method is given (null)")
    invoke.add_argument(
        "--timeout", metavar="S", type=number(1, 3600, int), default=30, help="seconds to wait for the answer (30)"
    )


def _twin(arguments: argparse.Namespace) -> Report:
    client = client_of(arguments)
    desired, tags = _object("--desired", arguments.desired), _object("--tags", arguments.tags)
    if desired is None and tags is None:
        twin = client.twin(arguments.id)
    else:
        twin = client.patch_twin(arguments.id, desired=desired, tags=tags)
    waiting = twin["cloudToDeviceMessageCount"]
    lines = [
        f"'{twin['deviceId']}' at {twin['hub']} is {twin['connectionState'].lower()}"
        + (f"; messages that wait for it: {waiting}." if waiting else ".")
    ]
    for part in ("desired", "reported"):
        properties = twin["properties"][part]
        own = {name: value for name, value in properties.items() if not name.startswith("$")}
        lines.append(f"{part:<8}  version {properties['$version']}  {_shown(own)}")
    lines.append(f"{'tags':<8}  {_shown(twin['tags'])}")
    return Report(twin, "\n".join(lines))


def _send(arguments: argparse.Namespace) -> Report:
    headers = {"iothub-ack": arguments.ack}
    for header, value in (("iothub-messageid", arguments.message_id), ("iothub-contenttype", arguments.content_type)):
        if value is not None:
            headers[header] = _header(header, value)
    for text in arguments.property:
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise UserError(
                f"'{text}' is no property.",
                "Give NAME=VALUE; a name has ASCII letters, digits, hyphens and underscores.",
            )
        headers[f"iothub-app-{name}"] = _header(name, value)
    try:
        payload = arguments.text.encode("utf-8", "surrogateescape")  # bytes that the locale could not decode
        sent = client_of(arguments).send_message(arguments.id, payload, headers)
    except UnicodeEncodeError:
        raise UserError("The message is not text.") from None
    until = sent["expiryTimeUtc"][:19].replace("T", " ")
    name = sent["messageId"] or f"no. {sent['sequence']}"
    return Report(
        sent,
        f"Message {name} is queued for '{sent['deviceId']}'; it expires at {until} UTC.",
        f"azureiot service events --device {shell_word(arguments.id)}",
    )


def _invoke(arguments: argparse.Namespace) -> Report:
    payload = _json("The payload", arguments.payload)
    answer = client_of(arguments).call_method(arguments.id, arguments.method, payload, arguments.timeout)
    text = f"'{arguments.id}' answered with status {answer['status']}: {_shown(answer.get('payload'))}"
    return Report(answer, text)


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    value = _json(option, text)
    if not isinstance(value, dict):
        raise UserError(
            f"{option} must be a JSON object, not {text[:80]}.", f"For example {option} '{{\"interval\": 5}}'."
        )
    return value


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{option} is not JSON: {str(error) or 'it is nested too deeply'}.",
            'Put it in single quotes, and text in double quotes inside: \'{"mode": "auto"}\'.',
        ) from None


def _header(name: str, value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise UserError(
            f"The value of '{name}' cannot be sent.", "Leave out line ends, control characters and blanks around it."
        )
    return value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
