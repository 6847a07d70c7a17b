"""azureiot device: device certificates and their PFX files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azureiot_tools.certificates import options
from azureiot_tools.console import Report, UserError, shell_word, table

if TYPE_CHECKING:
    from azureiot_tools.certificates.credential import Credential
    from azureiot_tools.certificates.store import Store
    from azureiot_tools.certificates.writer import NewFile


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `device` and its actions to the command line."""
    actions = commands.add_parser(
        "device",
        help="make, renew and list device certificates",
        description="Device certificates, issued by the intermediate of `azureiot ca create`. "
        "The device id becomes the common name.",
    ).add_subparsers(title="actions", metavar="ACTION", required=True)

    # No abbreviations where there is a password: `--password SECRET` must not be taken for --password-file.
    create_parser = actions.add_parser(
        "create", allow_abbrev=False, help="make certificate, key and PFX for each device id"
    )
    create_parser.add_argument("ids", metavar="ID", nargs="+", help="device id, which is the registration id too")
    options.add_key(create_parser)
    options.add_force(create_parser)
    create_parser.set_defaults(run=create)

    renew_parser = actions.add_parser(
        "renew", allow_abbrev=False, help="new key and certificate; the old files become ID.old.*"
    )
    renew_parser.add_argument("id", metavar="ID", help="device id")
    options.add_key(renew_parser, None, "as before")
    renew_parser.set_defaults(run=renew)

    list_parser = actions.add_parser("list", help="show the devices and how long their certificates last")
    list_parser.set_defaults(run=list_)

    for parser in (create_parser, renew_parser):
        options.add_days(parser, 365)
        options.add_password(parser)
    for parser in (create_parser, renew_parser, list_parser):
        options.add_certs(parser)
        options.add_json(parser)


def create(arguments: argparse.Namespace) -> Report:
    """Make the files of every device, all of them or none."""
    from azureiot_tools.certificates import authority, store, writer

    place = store.Store(Path(arguments.certs))
    known = {device_id.lower(): device_id for device_id, _ in place.devices()}
    for device_id in arguments.ids:
        authority.check_device_id(device_id)
        # DPS compares without regard to case (docs/protocol.md §1.2): two spellings would be one device there.
        if known.setdefault(device_id.lower(), device_id) != device_id:
            raise UserError(
                f'The device id "{device_id}" and "{known[device_id.lower()]}" are the same to DPS.',
                "Choose another id.",
            )
    if duplicate := next((one for one in arguments.ids if arguments.ids.count(one) > 1), None):
        raise UserError(f'The device id "{duplicate}" is given twice.')
    if not arguments.force:
        writer.refuse_existing(
            (
                place.device_path(device_id).with_suffix(suffix)
                for device_id in arguments.ids
                for suffix in (".crt", ".key", ".pfx")
            ),
            "For a new certificate: azureiot device renew ID; to replace the files: --force.",
        )
    issuer = place.authority("intermediate")
    password = options.pfx_password(
        arguments, "the new PFX" if len(arguments.ids) == 1 else "the new PFX files", confirm=True
    )
    made = []
    files = []
    for device_id in arguments.ids:
        device = authority.issue_device(issuer, device_id, key_type=arguments.key_type, days=arguments.days)
        made.append((device_id, device))
        files += _files(place, device_id, device, password)
    writer.write(files, force=arguments.force)
    first = shell_word(place.device_path(arguments.ids[0]).with_suffix(".pfx"))
    return _report(place, made, f"azureiot pfx convert {first} (files for a board) or azureiot provision --pfx {first}")


def renew(arguments: argparse.Namespace) -> Report:
    """Make a new key and certificate for a device, and keep the old ones beside them."""
    from azureiot_tools.certificates import authority, inspect, store, writer

    place = store.Store(Path(arguments.certs))
    authority.check_device_id(arguments.id)
    current = dict(place.devices()).get(arguments.id)
    if current is None:
        raise UserError(
            f'There is no device "{arguments.id}" in {place.directory}.',
            f"Make it: azureiot device create {arguments.id}{options.certs_option(place.directory)}",
        )
    issuer = place.authority("intermediate")
    password = options.pfx_password(arguments, "the new PFX", confirm=True)
    device = authority.issue_device(
        issuer, arguments.id, days=arguments.days, key_type=arguments.key_type or inspect.key_type(current)
    )
    writer.write(_files(place, arguments.id, device, password, renewed=True), force=True)
    path = place.device_path(arguments.id)
    bundle = shell_word(path.with_suffix(".pfx"))
    board = f"azureiot pfx convert {bundle} --force (its DER files are still the old ones), then "
    # DPS wrote the old thumbprint into the hub, which refuses the new one until then (docs/protocol.md §2.5).
    return _report(
        place,
        [(arguments.id, device)],
        (board if path.with_name(f"{path.name}.der").exists() else "")
        + f"azureiot provision --pfx {bundle} (registers again, so that the hub learns the new certificate)",
    )


def list_(arguments: argparse.Namespace) -> Report:
    """Show every device in the directory of certificates."""
    from azureiot_tools.certificates import inspect, store

    place = store.Store(Path(arguments.certs))
    found = [(device_id, inspect.describe(certificate)) for device_id, certificate in place.devices()]
    data = [{"device_id": device_id, "file": str(place.device_path(device_id)), **entry} for device_id, entry in found]
    if not found:
        return Report(
            data,
            f"No devices in {place.directory}.",
            f"azureiot device create ID{options.certs_option(place.directory)}",
        )
    rows = [
        [device_id, entry["key_type"], entry["status"], str(entry["days_left"]), entry["sha1"]]
        for device_id, entry in found
    ]
    return Report(data, table(["DEVICE", "KEY", "STATUS", "DAYS LEFT", "SHA-1"], rows))


def _files(place: Store, device_id: str, device: Credential, password: str, *, renewed: bool = False) -> list[NewFile]:
    from azureiot_tools.certificates import pfx

    return place.device_files(device_id, device, pfx.serialize(device, password, device_id), renewed=renewed)


def _report(place: Store, made: list[tuple[str, Credential]], following: str) -> Report:
    from azureiot_tools.certificates import inspect

    data: list[dict[str, Any]] = []
    text = []
    for device_id, device in made:
        path = place.device_path(device_id)
        entry = inspect.describe(device.certificate)
        files = {"certificate": str(path), "key": str(path.with_suffix(".key")), "pfx": str(path.with_suffix(".pfx"))}
        data.append({"device_id": device_id, "files": files, **entry})
        text.append(
            f"Made {device_id} ({entry['key_type']}), valid {inspect.validity(entry)}\n"
            f"  certificate + chain  {files['certificate']}\n"
            f"  private key          {files['key']}\n"
            f"  PFX                  {files['pfx']}"
        )
    return Report(data, "\n".join(text), following)
