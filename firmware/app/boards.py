"""What differs between the boards this application runs on, in one table."""

# Processor, pin of the LED on the usual board, whether that is an RGB LED (WS2812), what the Wi-Fi is told, and the
# longest watchdog in ms (0: no limit that matters).
#   ESP32: without `reconnects` the driver tries a wrong password for ever and never says so.
#   Pico W: Wi-Fi that saves power answers late; 0xA11140 switches that off.
_BOARDS = (
    ("ESP32", 2, False, {"reconnects": 2}, 0),
    ("ESP32S2", 18, True, {"reconnects": 2}, 0),
    ("ESP32S3", 48, True, {"reconnects": 2}, 0),
    ("ESP32C3", 8, True, {"reconnects": 2}, 0),
    ("ESP32C6", 8, True, {"reconnects": 2}, 0),
    ("RP2040", "LED", False, {"pm": 0xA11140}, 8388),
    ("RP2350", "LED", False, {"pm": 0xA11140}, 8388),
)
_UNKNOWN = (None, False, {}, 0)


def find(description: str) -> tuple:
    """(processor, LED pin or None, RGB, Wi-Fi options, longest watchdog in ms) of this board.

    description: sys.implementation._machine, "Generic ESP32S3 module with ESP32S3".
    """
    processor = description.split(" ")[-1].replace("-", "").upper()
    for board in _BOARDS:
        if board[0] == processor:
            return board
    return (processor,) + _UNKNOWN
