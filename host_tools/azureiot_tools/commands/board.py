"""`azureiot board`: put an installation on a board, look at it, listen to it, erase its secrets."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azureiot_tools.certificates.options import add_certs, add_json
from azureiot_tools.console import Report, UserError, emit, printable, read_password, table

if TYPE_CHECKING:
    from azureiot_tools.board.device_settings import Network
    from azureiot_tools.board.slots import File, Slots
    from azureiot_tools.board.transport import Board


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `board` and its actions to the command line."""
    actions = commands.add_parser(
        "board",
        help="put library, certificates and settings on a board; look at it",
        description="Boards with MicroPython, over USB: /dev/ttyUSB0, COM3, or socket://HOST:PORT.",
    ).add_subparsers(title="actions", metavar="ACTION", required=True)

    flash_parser = actions.add_parser(
        "flash",
        allow_abbrev=False,  # `--wifi-password SECRET` must not be taken for --wifi-password-file
        help="make the board a device that reports to the hub",
        description="Puts application, library, certificates and settings into the slot that the board does not run, "
        "verifies them, switches with one rename, starts the board and shows its log until the first message is "
        "acknowledged. Interrupted at any moment, the board starts what it started before.",
    )
    flash_parser.add_argument("--device", metavar="ID", required=True, help="device id: certs/ID.crt and certs/ID.key")
    flash_parser.add_argument("--only", choices=["certs"], help="replace certificate, key and roots, nothing else")
    flash_parser.add_argument("--wifi", metavar="SSID", help="a Wi-Fi network for it; its password is asked for")
    flash_parser.add_argument(
        "--wifi-password-file",
        metavar="FILE",
        help="its first line is the Wi-Fi password (else environment AZUREIOT_WIFI_PASSWORD, else asked for)",
    )
    flash_parser.add_argument(
        "--settings", metavar="FILE", help="settings file (default: settings.json here, if there is one)"
    )
    flash_parser.add_argument(
        "--sensor", type=Path, metavar="FILE", help="your own sensor, a module with read(device_id, number)"
    )
    flash_parser.add_argument("--source", action="store_true", help="modules as .py, not compiled to .mpy")
    flash_parser.add_argument("--no-start", action="store_true", help="do not wait for the first message")
    flash_parser.add_argument(
        "--timeout",
        type=_seconds,
        default=120,
        metavar="S",
        help="how long the first message may take (default %(default)s)",
    )
    add_certs(flash_parser)
    flash_parser.set_defaults(run=_flash)

    info_parser = actions.add_parser("info", help="firmware, clock, and what is installed")
    info_parser.set_defaults(run=_info)
    ls_parser = actions.add_parser("ls", help="the installed files")
    ls_parser.set_defaults(run=_ls)
    log_parser = actions.add_parser("log", help="what the board prints, until Ctrl-C")
    log_parser.add_argument("--timeout", type=_seconds, metavar="S", help="stop after so many seconds")
    log_parser.set_defaults(run=_log)
    shell_parser = actions.add_parser("shell", help="its Python prompt, until Ctrl-]; nothing else runs meanwhile")
    shell_parser.set_defaults(run=_shell)
    erase_parser = actions.add_parser(
        "erase-secrets",
        help="remove the installation and erase the flash it was in",
        description="Removes both slots, with key, certificate and Wi-Fi passwords, and erases every free block of "
        "the file system, so that nothing of them can be read from the flash chip.",
    )
    erase_parser.set_defaults(run=_erase_secrets)

    for parser in (flash_parser, info_parser, ls_parser, log_parser, shell_parser, erase_parser):
        # dest: `port` is the MQTT port of the settings
        parser.add_argument(
            "--port", dest="board_port", metavar="PORT", help="the board's port (default: the only board there is)"
        )
        add_json(parser)


def _flash(arguments: argparse.Namespace) -> None:
    from azureiot_tools.board import device_settings, installer
    from azureiot_tools.board.follow import until_delivered

    wanted = _Wanted(arguments)
    if warning := device_settings.warning(wanted.chosen):
        emit(arguments.json, {"event": "warning", "text": warning}, f"warning: {warning}")

    def say(text: str) -> None:
        emit(arguments.json, {"event": "stage", "text": text}, text)

    def show(line: str) -> None:
        emit(arguments.json, {"event": "log", "text": line}, f"  {line}")

    started = time.monotonic()
    with _open(arguments) as board:
        try:
            board.take_over()
            done = installer.install(board, wanted, say)
        except KeyboardInterrupt:
            emit(
                arguments.json,
                {"event": "interrupted"},
                "Interrupted: the board starts what it started before. Running this again completes it.",
            )
            raise
        if done.kept_boot:
            say(f"the boot.py that was there is kept as {done.kept_boot}")
        seconds = time.monotonic() - started
        say(_result(done, seconds))
        installer.start(board)
        event: dict[str, Any] = {
            "event": "installed",
            "port": board.port,
            "device_id": arguments.device,
            "slot": done.slot,
            "files": done.files,
            "sent_files": done.sent_files,
            "sent_bytes": done.sent_bytes,
            "copied_files": done.copied_files,
            "seconds": round(seconds, 1),
        }
        if arguments.json:
            emit(True, event, "")
        if arguments.no_start:
            return
        say("clock set, board restarted; its log:")
        delivered = until_delivered(board.lines(time.monotonic() + arguments.timeout), show)
        if arguments.json:
            emit(True, {"event": "delivered", "text": delivered}, "")
        else:
            print(f"{arguments.device} reports to the hub.\nnext: azureiot monitor; azureiot board log")


class _Wanted:
    """What the command line asks to have on the board; everything that can be wrong on this side is found first."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from azureiot_tools import settings
        from azureiot_tools.board import contents, device_settings

        self._device_id: str = arguments.device
        self._only_certificates = arguments.only == "certs"
        self.chosen = settings.load(arguments)
        extra = device_settings.board_only(self.chosen)
        credential = contents.load_credential(Path(arguments.certs), self._device_id)
        trusted = (
            contents.roots_from(Path(self.chosen.roots))
            if self.chosen.roots
            else contents.azure_roots(self.chosen.provisioning_host)
        )
        self._files = contents.certificates(credential, trusted)
        if not self._only_certificates:
            self._wifi = device_settings.networks(extra.pop("wifi", ()), _new_network(arguments))
            self._settings = device_settings.build(self.chosen, self._device_id, extra)
            self._files |= contents.application(source=arguments.source, sensor=arguments.sensor)

    def __call__(self, board: Board, state: Slots) -> Mapping[str, File]:
        """The files, once it is known what the board has. A network that it knows is kept where none was given."""
        from azureiot_tools.board import contents, device_settings, identity, installer

        def known(name: str) -> Any:
            return identity.setting(board, state.running, name) if state.running else None

        if self._only_certificates:
            found = known("registration_id")
            if found not in (None, self._device_id):
                raise UserError(
                    f"The board is {printable(str(found))}, not {self._device_id}.",
                    "Run this without --only certs to change that.",
                )
            return installer.certificates_only(state, self._files)
        settings = device_settings.with_networks(self._settings, self._wifi or known("wifi") or ())
        return installer.everything(self._files | contents.settings(settings))


def _new_network(arguments: argparse.Namespace) -> Network | None:
    from azureiot_tools.board.device_settings import PASSWORD_VARIABLE, network

    if arguments.wifi is None:
        if arguments.wifi_password_file:
            raise UserError("A Wi-Fi password needs its network.", "Give it with --wifi SSID.")
        return None
    prompt = f"Password of the Wi-Fi network {arguments.wifi}"
    network(arguments.wifi, "")  # before a password is asked for
    return network(arguments.wifi, read_password(arguments.wifi_password_file, PASSWORD_VARIABLE, prompt))


def _info(arguments: argparse.Namespace) -> Report:
    from azureiot_tools.board import identity, slots

    with _open(arguments) as board:
        board.take_over()
        found = identity.read(board)
        slots.prepare(board)
        state = slots.read(board)
        device_id = identity.setting(board, state.running, "registration_id") if state.running else None
    size = sum(file.size_bytes for file in state.installed.values())
    clock = f"{found.clock:%Y-%m-%d %H:%M:%S} UTC" if found.clock else "not set"
    free_bytes = state.free_blocks * state.block_bytes
    rows = [
        ("port", board.port),
        ("board", found.machine),
        ("firmware", found.firmware),
        ("unique id", found.unique_id),
        ("clock", clock),
        ("flash", f"{free_bytes // 1024} KB free"),
        ("installed", f"{device_id} in slot {state.running}, {size // 1024} KB" if state.running else "nothing"),
    ]
    data = {
        "port": board.port,
        "machine": found.machine,
        "version": list(found.version),
        "unique_id": found.unique_id,
        "clock": found.clock.isoformat() if found.clock else None,
        "free_bytes": free_bytes,
        "slot": state.running,
        "device_id": device_id,
        "installed_bytes": size,
    }
    text = "\n".join(f"{name:<11}{value}" for name, value in rows)
    return Report(data, text, "" if state.running else "azureiot board flash --device ID --wifi SSID")


def _ls(arguments: argparse.Namespace) -> Report:
    from azureiot_tools.board import slots

    with _open(arguments) as board:
        board.take_over()
        slots.prepare(board)
        state = slots.read(board)
    found = [
        {"slot": slot, "runs": slot == state.running, "path": path, "bytes": file.size_bytes, "sha256": file.sha256}
        for slot, files in state.files.items()
        for path, file in sorted(files.items())
    ]
    rows = [[f"{f['slot']}{'*' if f['runs'] else ''}", f"{f['bytes']:,}", str(f["path"])] for f in found]
    text = table(["slot", "bytes", "path"], rows) + "\n* runs" if rows else "Nothing is installed."
    return Report(found, text)


def _log(arguments: argparse.Namespace) -> None:
    with _open(arguments) as board:
        for line in board.lines(time.monotonic() + (arguments.timeout or float("inf"))):
            emit(arguments.json, {"event": "log", "text": line}, line)


def _shell(arguments: argparse.Namespace) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("The shell needs a terminal.")
    with _open(arguments) as board:
        board.take_over()
        print(f"The prompt of the board on {board.port}; Ctrl-] leaves it and starts the board again.", flush=True)
        board.shell()


def _erase_secrets(arguments: argparse.Namespace) -> Report:
    from azureiot_tools.board import installer
    from azureiot_tools.board.progress import Bar

    with _open(arguments) as board:
        board.take_over()
        total_bytes = installer.flash_bytes(board)
        with Bar("erasing", total_bytes) as bar:
            installer.erase_secrets(board, lambda: bar.add(installer.ERASED_BYTES))
    return Report(
        {"port": board.port, "erased_bytes": total_bytes},
        f"Removed the installation from the board on {board.port} and erased all free blocks of its file system.",
        "its certificate is still valid: delete the enrollment, or disable the device, before the board changes hands",
    )


def _open(arguments: argparse.Namespace) -> Board:
    from azureiot_tools.board.discover import choose
    from azureiot_tools.board.transport import Board

    return Board(choose(arguments.board_port))


def _result(done: Any, seconds: float) -> str:
    if not done.sent_files and not done.copied_files:
        return f"slot {done.slot} has exactly this already ({done.files} files, {seconds:.1f} s)"
    return (
        f"slot {done.slot} installed and verified: {done.files} files, {done.sent_bytes / 1024:.0f} KB sent, "
        f"{seconds:.1f} s"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise ValueError
    return seconds
