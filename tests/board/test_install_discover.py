"""Which port is the board's: the only one, the one that was chosen, or a sentence that says what to do."""

from __future__ import annotations

import io

import pytest
from serial.tools.list_ports_common import ListPortInfo

from azureiot_tools.board import discover
from azureiot_tools.console import UserError


def usb(device: str, vendor: int | None, description: str) -> ListPortInfo:
    port = ListPortInfo(device)
    port.vid, port.description = vendor, description
    return port


CP210X = usb("/dev/ttyUSB0", 0x10C4, "CP2102 USB to UART Bridge")
S3 = usb("/dev/ttyACM0", 0x303A, "n/a")
MODEM = usb("/dev/ttyS0", None, "ttyS0")


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch):
    def plug_in(*found: ListPortInfo, answer: str | None = None) -> None:
        monkeypatch.setattr(discover.list_ports, "comports", lambda: iter(found))
        stdin = io.StringIO(answer or "")
        stdin.isatty = lambda: answer is not None
        monkeypatch.setattr(discover.sys, "stdin", stdin)

    return plug_in


def test_the_only_board_is_taken_and_other_ports_are_passed_over(ports) -> None:
    ports(MODEM, CP210X)
    assert discover.choose(None) == "/dev/ttyUSB0"


def test_a_port_that_was_named_is_taken_as_it_is(ports) -> None:
    ports()
    assert discover.choose("socket://127.0.0.1:7000") == "socket://127.0.0.1:7000"


def test_no_board_is_one_sentence(ports) -> None:
    ports(MODEM)
    with pytest.raises(UserError, match="No board was found on USB"):
        discover.choose(None)


def test_several_boards_without_a_terminal_are_listed(ports) -> None:
    ports(CP210X, S3)
    with pytest.raises(UserError, match=r"/dev/ttyACM0 \(Espressif\), /dev/ttyUSB0 \(CP2102 USB to UART Bridge\)"):
        discover.choose(None)


@pytest.mark.parametrize("answer", ["2\n", "/dev/ttyUSB0\n"])
def test_several_boards_on_a_terminal_are_asked_about(ports, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    ports(CP210X, S3, answer=answer)
    assert discover.choose(None) == "/dev/ttyUSB0"
    out, err = capsys.readouterr()
    assert out == "", "stdout is for the result"
    assert "1  /dev/ttyACM0  Espressif" in err


@pytest.mark.parametrize("answer", ["3\n", "0\n", "\n", "", "²\n"])
def test_an_answer_that_names_no_board_is_refused(ports, answer: str) -> None:
    ports(CP210X, S3, answer=answer)
    with pytest.raises(UserError, match="none of the boards"):
        discover.choose(None)


def test_what_a_usb_device_calls_itself_cannot_steer_the_terminal(ports) -> None:
    ports(usb("/dev/ttyUSB0", 0x10C4, "\x1b[2Jboard"), S3)
    with pytest.raises(UserError) as refused:
        discover.choose(None)
    assert "\x1b" not in str(refused.value)
