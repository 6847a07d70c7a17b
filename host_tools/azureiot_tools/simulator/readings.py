"""What a simulated device sends: readings of a room. Runs on CPython and on MicroPython."""

import random

ALERT_ABOVE_C = 30


def reading(device_id, message_id):
    """(payload, application properties) of one message: 20-34 °C, 60-79 % humidity, an alert above 30 °C."""
    # Halves are exact in binary: MicroPython prints 64.1 as 64.09999999999999.
    temperature = random.randint(40, 68) / 2
    payload = {
        "deviceId": device_id,
        "messageId": message_id,
        "temperature": temperature,
        "humidity": random.randint(120, 158) / 2,
    }
    return payload, {"temperatureAlert": "true" if temperature > ALERT_ABOVE_C else "false"}
