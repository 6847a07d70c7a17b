"""`esp32`: the chip's own heap and temperature."""

import hardware

HEAP_EXEC = 1
HEAP_DATA = 4


def idf_heap_info(capabilities):
    return [tuple(region) for region in hardware.weather()["idf_heap"]]


def raw_temperature():
    return 128  # °F
