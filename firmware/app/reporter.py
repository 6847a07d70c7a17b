"""What the board knows about itself: why it started, and its memory."""

import gc

# Names in `machine`; a port has some of them.
_CAUSES = (
    ("PWRON_RESET", "power on"),
    ("HARD_RESET", "a hard reset"),
    ("WDT_RESET", "the watchdog"),
    ("DEEPSLEEP_RESET", "deep sleep"),
    ("SOFT_RESET", "a soft reset"),
)


def reset_cause(machine) -> str:
    """What started this board, in words."""
    cause = machine.reset_cause()
    for name, words in _CAUSES:
        if cause == getattr(machine, name, None):
            return words
    return "reset cause %s" % cause


def heap() -> str:
    """How much memory is free. TLS takes its own from the IDF's heap on an ESP32, and 17 KB of it in one block."""
    gc.collect()
    words = "heap: %d bytes free, %d used" % (gc.mem_free(), gc.mem_alloc())
    try:
        import esp32
    except ImportError:
        return words
    largest = max([region[2] for region in esp32.idf_heap_info(esp32.HEAP_DATA)])
    return words + ", largest free block outside it %d" % largest
