"""What this board measures. A sample: put your own sensor in the place of `read`.

from machine import ADC

_pin = ADC(34)


def read(device_id, number):
    volts = _pin.read_uv() / 1000000
    return {"messageId": number, "volts": volts}, {"low": "true" if volts < 3.3 else "false"}
"""

import os

_ALERT_ABOVE_C = 30


def read(device_id: str, number: int) -> "tuple[dict, dict]":
    """(payload, application properties) of message `number`: here a made-up room, 20 to 34 °C.

    An exception leaves this reading out and is logged; the next one is tried as usual.
    """
    one, other = os.urandom(2)
    temperature = 20 + one % 29 / 2
    payload = {"deviceId": device_id, "messageId": number, "temperature": temperature, "humidity": 60 + other % 39 / 2}
    return payload, {"temperatureAlert": "true" if temperature > _ALERT_ABOVE_C else "false"}
