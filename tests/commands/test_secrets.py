"""No secret in any output: passwords and private keys appear neither in reports nor in errors, and never on argv.

Each run in this directory goes through the same check (world.assert_no_secrets), with every secret there is by then:
passwords, and each private key in every form in which it could be printed. Here it is made sure that it would find one.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from azureiot_tools import cli
from azureiot_tools.console import Report, UserError

from .leaves import Leaf, leaves
from .world import PASSWORD, WIFI_PASSWORD, World, secrets_in

ASKING = [leaf for leaf in leaves() if any("password_file" in one.dest for one in leaf.arguments)]


@pytest.mark.parametrize("leaf", ASKING, ids=lambda leaf: leaf.name)
def test_a_password_on_the_command_line_is_wrong_usage_and_is_not_repeated(world: World, leaf: Leaf) -> None:
    """What went wrong stands in logs, too."""
    words = [word for word in world.arguments(leaf) if word != "--"]
    place = len(leaf.words)
    for name, *typed in (
        ("--password", "--password", PASSWORD),
        ("--password", f"--password={PASSWORD}"),
        ("--pass", f"--pass={PASSWORD}"),
        ("-p", "-p", PASSWORD),
        ("-p", f"-p{PASSWORD}"),
    ):
        for line in ([*words, *typed], [*words[:place], *typed, *words[place:]]):
            done = world.run(*line)
            assert done.code == 2
            assert f"unrecognized arguments: {name}\n" in done.err


def test_what_is_merely_too_much_is_named(world: World) -> None:
    assert world.run("roots", "everything").err.endswith("azureiot: error: unrecognized arguments: everything\n")


@pytest.mark.parametrize("form", ["pem", "password", "wifi", "sec1", "pkcs8 in one line", "number"])
def test_the_check_finds_what_it_is_there_for(world: World, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    pem = Path("certs/d.key").read_bytes()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    sec1 = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    leak = {
        "pem": pem.decode(),
        "password": f"The password {PASSWORD} is wrong.",
        "wifi": WIFI_PASSWORD,
        "sec1": base64.b64encode(sec1).decode(),
        "pkcs8 in one line": base64.b64encode(pkcs8).decode(),
        "number": f"{key.private_numbers().private_value:064X}",
    }[form]
    world.run("ca", "list")
    for leaking in (lambda _: Report({}, leak), lambda _: (_ for _ in ()).throw(UserError(leak))):
        parser = cli.build_parser()
        monkeypatch.setattr(cli, "build_parser", lambda parser=parser: parser)
        monkeypatch.setattr(parser, "parse_args", lambda _, leaking=leaking: LeakingArguments(leaking))
        with pytest.raises(AssertionError):
            world.run("leak")


class LeakingArguments:
    def __init__(self, run: object) -> None:
        self.run = run


def test_every_key_of_the_world_is_watched(world: World) -> None:
    assert len(list(world.folder.rglob("*.key"))) == 3
    assert len(secrets_in(world.folder)) >= 3 * 4
