"""A device that tries what it is told to, on either runtime: python client.py CASE.json. What came of it is one line.

CASE: device: Device's options, with certificate, key and roots as paths.  does: the calls, as [name, options].
    speed: how many times faster than real its clock goes; the waits are shorter by as much.
The line, JSON: done: how many calls returned.  error: the AzureIoTError that ended it, or null.  crash: any other
exception.  elapsed_ms: by its clock.  delivered: of each queued message.  last: device.error, as text.
hub, device_id, skipped: the device's.
"""

import json
import sys

import azureiot.runtime as runtime
from azureiot import X509, AzureIoTError, Device


class Clock:
    """The time since it was made, `speed` times as fast."""

    def __init__(self, speed):
        self.speed = speed
        self._started_ms = runtime.ticks_ms()

    def ticks_ms(self):
        return runtime.ticks_diff(runtime.ticks_ms(), self._started_ms) * self.speed

    def ticks_diff(self, later, earlier):
        return later - earlier

    def wait(self, sock, mask, timeout_ms):
        runtime.wait(sock, mask, timeout_ms // self.speed + 1)


def attempt(case):
    """The outcome of a case."""
    clock = Clock(case["speed"])
    options = case["device"]
    queued = []
    outcome = {"done": 0, "error": None, "crash": None}
    device = Device(
        credential=X509(options.pop("certificate"), options.pop("key")),
        clock=clock,
        poll=clock.wait,
        resolve=lambda host, port: runtime.resolve("127.0.0.1", port),  # whatever the name: the servers are here
        random=lambda: 0.02,  # connect again soon
        **options,
    )
    try:
        for name, arguments in case["does"]:
            message = getattr(device, name)(**arguments)
            if name == "queue":
                queued.append(message)
            outcome["done"] += 1
        device.close()
    except AzureIoTError as error:
        outcome["error"] = {
            "code": error.code,
            "text": str(error),
            "hint": error.hint,
            "retryable": error.retryable,
            "tracking_id": error.tracking_id,
        }
    except Exception as error:
        outcome["crash"] = repr(error)
    outcome["elapsed_ms"] = clock.ticks_ms()
    outcome["delivered"] = [message.delivered for message in queued]
    outcome["last"] = str(device.error or "")
    for name in ("hub", "device_id", "skipped"):
        outcome[name] = getattr(device, name)
    return outcome


with open(sys.argv[1]) as file:
    print(json.dumps(attempt(json.load(file))))
