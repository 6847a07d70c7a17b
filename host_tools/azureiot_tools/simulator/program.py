"""A device's run: provision, connect, send readings. One program for both runtimes.

The host calls `run` in process; on MicroPython it runs as `micropython program.py CONFIG.json` and prints what it
reports, one JSON object a line.
"""

import json
import sys

from azureiot import X509, AzureIoTError, Device


def run(config, report, reading):
    """Run one device.

    config: id_scope and registration_id, or hub and device_id; certificate, key and roots (paths, or bytes in process);
        provisioning_host, port, timeout_s; count: messages to send, 0 for provisioning only; interval_s between them.
    report: called with a dict for each thing that happened.  reading: see readings.reading.
    Raises AzureIoTError.
    """
    device = Device(
        credential=X509(config["certificate"], config["key"]),
        **{name: config[name] for name in _DEVICE_OPTIONS if config.get(name) is not None},
    )
    timeout_s = config["timeout_s"]
    try:
        if device.hub is None:
            device.provision(timeout_s, retry=False)
            report({"event": "assigned", "hub": device.hub, "device_id": device.device_id})
        if config["count"]:
            device.connect(timeout_s, retry=False)
            report({"event": "connected", "hub": device.hub, "device_id": device.device_id})
        for number in range(1, config["count"] + 1):
            if number > 1 and config["interval_s"]:
                device.wait(config["interval_s"])
            payload, properties = reading(device.device_id, number)
            device.send(payload, properties, timeout_s, content_type="application/json", content_encoding="utf-8")
            report({"event": "sent", "payload": payload, "properties": properties})
    finally:
        device.close()


_DEVICE_OPTIONS = ("id_scope", "registration_id", "hub", "device_id", "provisioning_host", "port", "roots")


def main(path):
    """Run the device that the JSON file describes; the exit code."""
    from readings import reading  # pyright: ignore[reportMissingImports]  beside this file, on MicroPython's path

    with open(path) as file:
        config = json.load(file)
    try:
        run(config, lambda event: print(json.dumps(event)), reading)
        return 0
    except AzureIoTError as error:
        print(
            json.dumps(
                {
                    "event": "failed",
                    "message": error.message,
                    "code": error.code,
                    "tracking_id": error.tracking_id,
                    "cause": error.cause,
                }
            )
        )
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
