"""What a simulated device sends: readings of a room. Runs on CPython and on MicroPython."""

import random

ALERT_ABOVE_C = 30


def reading(device_id, message_id):
    """(payload, application properties) of one message: 20-34 °C, 60-79 % humidity, an alert above 30 °C."""
    temperature = random.randint(200, 340) / 10
    payload = {
        "deviceId": device_id,
        "messageId": message_id,
        "temperature": temperature,
        "humidity": random.randint(600, 790) / 10,
    }
    return payload, {"temperatureAlert": "true" if temperature > ALERT_ABOVE_C else "false"}
