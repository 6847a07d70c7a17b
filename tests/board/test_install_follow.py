"""After an installation: the first acknowledged message, or in words why it did not come."""

from __future__ import annotations

import pytest

from azureiot_tools.board.follow import until_delivered
from azureiot_tools.console import UserError

START = "azureiot: slot a starts in 2 s, Ctrl-C for the REPL"


def failure(*lines: str) -> str:
    with pytest.raises(UserError) as refused:
        until_delivered(lines, lambda _: None)
    return str(refused.value)


def test_it_ends_at_the_first_acknowledged_message_and_shows_what_came_before() -> None:
    shown: list[str] = []
    lines = iter([START, "", "azureiot: Wi-Fi home", 'azureiot: delivered message 1 {"temperature": 21}', "more"])
    assert until_delivered(lines, shown.append) == 'azureiot: delivered message 1 {"temperature": 21}'
    assert shown == [START, "azureiot: Wi-Fi home", 'azureiot: delivered message 1 {"temperature": 21}']
    assert next(lines) == "more", "nothing is read beyond it"


def test_message_10_is_not_message_1() -> None:
    assert "has not delivered a message yet" in failure(START, "azureiot: delivered message 10 {}")


def test_the_last_thing_it_said_is_the_reason() -> None:
    said = failure(START, "azureiot: Wi-Fi home: wrong password, retry in 4 s")
    assert (
        said == "The board has not delivered a message yet; the last it said: Wi-Fi home: wrong password, retry in 4 s"
    )


def test_a_program_that_died_is_quoted_at_once() -> None:
    lines = [START, "Traceback (most recent call last):", '  File "main.py", line 1', "ImportError: no module 'app'"]
    lines += ["MicroPython v1.29.0; ESP32", 'Type "help()" for more information.', ">>>"]
    assert failure(*lines).startswith("The application on the board stopped: ImportError: no module 'app'.")


def test_a_program_that_ended_without_a_word_is_said_to_have_ended() -> None:
    assert "ended without a word" in failure(START, "MicroPython v1.29.0; ESP32", ">>>")


def test_a_prompt_from_before_the_restart_does_not_count() -> None:
    assert until_delivered([">>>", START, "azureiot: delivered message 1 {}"], lambda _: None)


def test_a_board_that_resets_again_and_again() -> None:
    assert "started 3 times" in failure(START, "azureiot: working", START, START)


def test_a_silent_board() -> None:
    assert "said nothing" in failure()
    assert "said nothing" in failure("rst:0x1 (POWERON_RESET)")
