"""Every argument that names a file, with files that are not what it ought to be: a sentence, at once, nothing changed.

Missing, unreadable, empty, another kind, enormous, endless, never written to. The arguments come from the parser.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from azureiot_tools import console
from azureiot_tools.console import UserError, read_file, read_password

from .leaves import Leaf, leaves
from .world import PASSWORD, World

LEAVES = [leaf for leaf in leaves() if leaf.files]
OTHERS = ("certs/d.crt", "certs/d.key", "certs/d.pfx", "certs/ca/root.crt", "password.txt", "settings.json", "certs")
NOWHERE = ("missing", "no/such/directory", "password.txt/below", "x" * 300)


@pytest.fixture(scope="session")
def bad_files(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of files that are not what any argument ought to be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty").touch()
    (folder / "text").write_text("Dear Sir or Madam,\n")
    (folder / "noise").write_bytes(bytes(range(256)) * 4)
    (folder / "cut.pem").write_bytes((template / "certs/d.crt").read_bytes()[:300])
    (folder / "cut.key").write_bytes((template / "certs/d.key").read_bytes()[:200])
    (folder / "bad.key").write_bytes((template / "certs/d.key").read_bytes().replace(b"\n-----END", b"!\n-----END"))
    (folder / "cut.pfx").write_bytes((template / "certs/d.pfx").read_bytes()[:300])
    (folder / "json").write_text('{"id_scope": [1]}')
    with (folder / "enormous").open("wb") as file:
        file.truncate(100_000_000)
    (folder / "a\n\x1b[2Jb").write_text("odd name\n")
    (folder / os.fsdecode(b"\xff")).write_text("odd bytes\n")
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("/proc/nowhere")
    (folder / "denied").write_text("x")
    (folder / "denied").chmod(0)  # root reads it all the same
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_every_kind_of_wrong_file(
    world: World, template: Path, bad_files: Path, leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PIPE_PATIENCE_S", 0.01)
    before = sorted(os.listdir(bad_files))
    bad = [str(path) for path in bad_files.iterdir()]
    for argument in leaf.files:
        for name in (*bad, "/dev/zero", "/dev/null", *OTHERS, *NOWHERE):
            if world.run(*world.arguments(leaf, argument, name)).changed:  # of what is written, a free name is right
                world.restore(template)
    assert sorted(os.listdir(bad_files)) == before


@pytest.mark.parametrize("level", ["root", "intermediate"])
def test_public_certificates_do_not_need_their_keys(world: World, level: str) -> None:
    """The authority's keys may be in a safe."""
    for path in (world.folder / "certs/ca").glob("*.key"):
        path.unlink()
    assert world.run("ca", "export", level).out == (world.folder / f"certs/ca/{level}.crt").read_text()
    assert world.run("ca", "list").code == 0
    (world.folder / f"certs/ca/{level}.crt").write_text("-----BEGIN X-----\n-----END X-----\n")
    assert f"{level}.crt holds no certificate" in world.run("ca", "export", level).err


def test_a_password_from_process_substitution(world: World) -> None:
    """`--password-file <(pass show device)`, where the program takes its time."""
    command = (
        f"'{sys.executable}' -m azureiot_tools pfx convert certs/d.pfx --password-file <(sleep 0.3; echo '{PASSWORD}')"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Wrote certs/d.crt.der" in done.stdout


@pytest.mark.parametrize("name", ["d.crt", "d.pfx"])
def test_a_certificate_from_process_substitution(world: World, name: str) -> None:
    """A pipe can be read once only."""
    command = f"'{sys.executable}' -m azureiot_tools cert show <(cat certs/{name}) --password-file password.txt"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CN=d\n" in done.stdout


def test_a_file_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"x" * 2000)
    assert read_file(path, 2000, "thing") == b"x" * 2000
    with pytest.raises(UserError, match=r"it is larger than 1 kB: that is no thing"):
        read_file(path, 1999, "thing")


@pytest.mark.parametrize(("kilobytes", "within"), [(5, True), (200, False)])
def test_a_pipe_is_read_to_its_end_and_no_further_than_the_limit(tmp_path: Path, kilobytes: int, within: bool) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), path.open("wb", buffering=0) as file:
            for _ in range(kilobytes):
                file.write(b"x" * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    if within:
        assert read_file(path, 5000, "thing") == b"x" * 5000
    else:
        with pytest.raises(UserError, match="is larger than 5 kB"):
            read_file(path, 5000, "thing")
    writer.join(10)
    assert not writer.is_alive()


def test_a_pipe_into_which_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(console, "PIPE_PATIENCE_S", 0.1)
    started = time.monotonic()
    with pytest.raises(UserError, match="pipe is a pipe, and nobody has written to it"):
        read_file(tmp_path / "pipe", 1000, "thing")
    assert 0.1 <= time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret\nnotes\n", "secret"),
        (b"\xef\xbb\xbfsecret\r\n", "secret"),
        (" sëcret ".encode(), " sëcret "),
        (b"", ""),
    ],
)
def test_the_password_is_the_first_line(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "it").write_bytes(content)
    assert read_password(str(tmp_path / "it"), "UNSET", "Password") == password


def test_passwords_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it").write_bytes(b"p\xe4ssword\n")
    with pytest.raises(UserError, match="it is not UTF-8 text") as caught:
        read_password(str(tmp_path / "it"), "UNSET", "Password")
    assert "ssword\n" not in str(caught.value)
    monkeypatch.setenv("AZUREIOT_PFX_PASSWORD", os.fsdecode(b"p\xe4ssword"))
    with pytest.raises(UserError, match="environment variable AZUREIOT_PFX_PASSWORD is not UTF-8 text"):
        read_password(None, "AZUREIOT_PFX_PASSWORD", "Password")
