"""azureiot ca: certificate authorities for devices."""

from __future__ import annotations

import argparse
from pathlib import Path

from azureiot_tools.certificates import options
from azureiot_tools.console import Report, UserError, shell_word, table

LEVELS = ("root", "intermediate")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ca` and its actions to the command line."""
    actions = commands.add_parser(
        "ca",
        help="make a certificate authority and prove to DPS that it is yours",
        description="Certificate authorities: a root to upload to DPS, and an intermediate that signs devices.",
    ).add_subparsers(title="actions", metavar="ACTION", required=True)

    create_parser = actions.add_parser("create", help="make a root and an intermediate that issues device certificates")
    create_parser.add_argument("--name", default="azureiot", help="what both are called (default: %(default)s)")
    options.add_key(create_parser)
    options.add_days(create_parser, 3650)
    options.add_force(create_parser)
    create_parser.set_defaults(run=create)

    prove_parser = actions.add_parser("prove", help="make the certificate that proves possession to DPS")
    prove_parser.add_argument("code", metavar="CODE", help="the verification code that DPS generated")
    prove_parser.add_argument("--by", choices=LEVELS, default="root", help="the uploaded certificate (default: root)")
    prove_parser.add_argument("--out", metavar="FILE", help="default: ca/verification-CODE.crt, with CODE cut to 8")
    options.add_force(prove_parser)
    prove_parser.set_defaults(run=prove)

    list_parser = actions.add_parser("list", help="show the authority's certificates")
    list_parser.set_defaults(run=list_)

    export_parser = actions.add_parser("export", help="print or copy a certificate of the authority, without its key")
    export_parser.add_argument("level", nargs="?", choices=LEVELS, default="root", help="default: root")
    export_parser.add_argument("--der", action="store_true", help="DER in place of PEM; needs --out")
    export_parser.add_argument("--out", metavar="FILE", help="write it to a file")
    options.add_force(export_parser)
    export_parser.set_defaults(run=export)

    for parser in (create_parser, prove_parser, list_parser, export_parser):
        options.add_certs(parser)
        options.add_json(parser)


def create(arguments: argparse.Namespace) -> Report:
    """Make the root and the intermediate, four files, together or not at all."""
    from azureiot_tools.certificates import authority, inspect, store, writer

    place = store.Store(Path(arguments.certs))
    if not arguments.force:
        writer.refuse_existing(
            (place.certificate_path(level).with_suffix(suffix) for level in LEVELS for suffix in (".crt", ".key")),
            "Keep it, or replace it with --force: devices with its certificates will then need new ones.",
        )
    settings = {"key_type": arguments.key_type, "days": arguments.days}
    root = authority.create_root(f"{arguments.name} root", **settings)
    intermediate = authority.create_intermediate(root, f"{arguments.name} intermediate", **settings)
    writer.write(
        [*place.authority_files("root", root), *place.authority_files("intermediate", intermediate)],
        force=arguments.force,
    )
    made = {"root": inspect.describe(root.certificate), "intermediate": inspect.describe(intermediate.certificate)}
    data = {level: {"file": str(place.certificate_path(level)), **made[level]} for level in LEVELS}
    text = "\n".join(
        f"Made {made[level]['common_name']} ({made[level]['key_type']}): {place.certificate_path(level)}, "
        f"valid {inspect.validity(made[level])}"
        for level in LEVELS
    )
    return Report(
        data,
        text,
        f"upload {place.certificate_path('root')} to DPS, generate a verification code there, "
        f"then: azureiot ca prove CODE{options.certs_option(place.directory)}",
    )


def prove(arguments: argparse.Namespace) -> Report:
    """Make the verification certificate for DPS's code."""
    from azureiot_tools.certificates import authority, credential, inspect, store, writer

    place = store.Store(Path(arguments.certs))
    code = authority.verification_code(arguments.code)
    issuer = place.authority(arguments.by)
    certificate = authority.issue_verification(issuer, code)
    path = Path(arguments.out) if arguments.out else place.directory / "ca" / f"verification-{code[:8]}.crt"
    writer.write([writer.NewFile(path, credential.to_pem([certificate]))], force=arguments.force)
    data = {"file": str(path), **inspect.describe(certificate)}
    return Report(
        data,
        f"Made {path}: common name {code}, signed by {credential.quoted(issuer.certificate)}",
        f"upload {path} to DPS to verify the authority "
        f"(in the emulator: azureiot service cert verify NAME {shell_word(path)})",
    )


def list_(arguments: argparse.Namespace) -> Report:
    """Show the root and the intermediate."""
    from azureiot_tools.certificates import inspect, store

    place = store.Store(Path(arguments.certs))
    found = {level: inspect.describe(place.authority_certificate(level)) for level in LEVELS}
    rows = [
        [level, entry["subject"], entry["key_type"], inspect.validity(entry), entry["sha256"]]
        for level, entry in found.items()
    ]
    data = {level: {"file": str(place.certificate_path(level)), **entry} for level, entry in found.items()}
    return Report(data, table(["LEVEL", "SUBJECT", "KEY", "VALID", "SHA-256"], rows))


def export(arguments: argparse.Namespace) -> Report:
    """Print a certificate of the authority, or write it to a file."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from azureiot_tools.certificates import store, writer

    certificate = store.Store(Path(arguments.certs)).authority_certificate(arguments.level)
    if arguments.out:
        form = Encoding.DER if arguments.der else Encoding.PEM
        file = writer.NewFile(Path(arguments.out), certificate.public_bytes(form))
        done = writer.write([file], force=arguments.force)
        return Report(
            {"file": arguments.out, "changed": bool(done.written)},
            f"{'Wrote' if done.written else 'Unchanged:'} {arguments.out}",
        )
    if arguments.der:
        raise UserError("DER is not for the terminal.", "Name a file: --out FILE")
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return Report({"certificate": pem}, pem.rstrip())
