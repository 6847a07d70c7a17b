"""azureiot pfx: from a PFX to the files that devices read."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from azureiot_tools.certificates import options
from azureiot_tools.console import Report, UserError, printable, shell_word

if TYPE_CHECKING:
    from azureiot_tools.certificates.credential import Credential
    from azureiot_tools.certificates.writer import NewFile


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `pfx` and its action to the command line."""
    actions = commands.add_parser(
        "pfx", help="convert a PFX to PEM and DER", description="PFX (PKCS#12) files."
    ).add_subparsers(title="actions", metavar="ACTION", required=True)
    parser = actions.add_parser(
        "convert",
        allow_abbrev=False,  # `--password SECRET` must not be taken for --password-file
        help="write certificate, chain and key as PEM, and as DER for boards",
        description="Write NAME.crt (leaf, then chain) and NAME.key (PKCS#8) as PEM, and NAME.crt.der and NAME.key.der "
        "(SEC1 or PKCS#1), which MicroPython reads on every board.",
    )
    parser.add_argument("file", metavar="FILE", help="the PFX")
    parser.add_argument("--out", metavar="DIR", help="where to write (default: beside FILE)")
    parser.add_argument("--name", help="what the files are called (default: as FILE, without its ending)")
    options.add_password(parser)
    options.add_force(parser)
    options.add_json(parser)
    parser.set_defaults(run=convert)


def convert(arguments: argparse.Namespace) -> Report:
    """Open the PFX, say what is in it, and write four files or none."""
    from azureiot_tools.certificates import inspect, pfx, writer

    source = Path(arguments.file)
    name = source.stem if arguments.name is None else arguments.name
    if name in ("", ".", "..") or Path(name).name != name or not name.isprintable():
        raise UserError(f"{name!r} cannot be the name of a file.", "Give the directory with --out and a plain --name.")
    found = pfx.read(source, partial(options.pfx_password, arguments, str(source)))
    directory = source.parent if arguments.out is None else Path(arguments.out)
    done = writer.write(_files(directory, name, found.credential), force=arguments.force)

    device = found.credential
    entry = inspect.describe(device.certificate)
    above = inspect.chain(device.certificate, [*device.chain, *([found.root] if found.root else [])])
    chain = inspect.chain_words(above)
    if found.root:
        chain += " (the root is left out: the other side has it)"
    elif above["missing_issuer"] and not device.chain:
        chain += ": right only if that is the certificate uploaded to DPS (else 401002, docs/protocol.md §2.1)"
    strangers = [other.subject.rfc4514_string() for other in found.strangers]
    text = [
        f"{printable(str(source))} holds",
        *("  " + line for line in inspect.lines(entry)),
        "  " + inspect.line("chain", chain),
        "  " + inspect.line("private key", "yes, and it fits"),
    ]
    if strangers:
        text.append("  " + inspect.line("left out", ", ".join(strangers)))
    text += [f"Wrote {path}" for path in done.written] + [f"Unchanged: {path}" for path in done.unchanged]
    data = {
        "file": str(source),
        **entry,
        **above,
        "private_key": True,
        "root_left_out": found.root.subject.rfc4514_string() if found.root else None,
        "strangers_left_out": strangers,
        "written": [str(path) for path in done.written],
        "unchanged": [str(path) for path in done.unchanged],
    }
    certificate, key = (shell_word(directory / f"{name}{suffix}") for suffix in (".crt", ".key"))
    return Report(data, "\n".join(text), f"azureiot provision --cert {certificate} --key {key}")


def _files(directory: Path, name: str, device: Credential) -> list[NewFile]:
    from azureiot_tools.certificates.credential import key_to_pem, to_der, to_pem
    from azureiot_tools.certificates.writer import NewFile

    certificates, key = to_der(device)
    return [
        NewFile(directory / f"{name}.crt", to_pem(device.certificates)),
        NewFile(directory / f"{name}.key", key_to_pem(device.key), private=True),
        NewFile(directory / f"{name}.crt.der", certificates),
        NewFile(directory / f"{name}.key.der", key, private=True),
    ]
