"""A device with a symmetric key on Microsoft's azure-iot-device, unmodified; runs in that package's own environment.

Standard input: one JSON object with proxy_port, ca (PEM text), id_scope, registration_id, key; and, to leave DPS out,
hub and hub_key. payload goes with the registration. ttl_s: how long its tokens are good for; with it, the message waits
until the device has renewed one.
Prints one JSON object: what DPS answered and what was sent, or the error and the step it came from.
"""

import json
import sys
import threading

from azure.iot.device import IoTHubDeviceClient, ProvisioningDeviceClient, ProxyOptions


def register(config, shared):
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host="localhost",
        registration_id=config["registration_id"],
        id_scope=config["id_scope"],
        symmetric_key=config["key"],
        **shared,
    )
    client.provisioning_payload = config.get("payload")
    return client.register()


def send(config, shared, hub, device_id, key):
    ttl_s = config.get("ttl_s", 3600)
    device = IoTHubDeviceClient.create_from_symmetric_key(
        key, hub, device_id, connection_retry=False, sastoken_ttl=ttl_s, **shared
    )
    connected = threading.Semaphore(0)
    device.on_connection_state_change = lambda: device.connected and connected.release()
    device.connect()
    for _ in range(2 if "ttl_s" in config else 1):
        if not connected.acquire(timeout=30):
            raise TimeoutError("the device has not connected again")
    device.send_message("hello")
    device.shutdown()


def main(config):
    shared = {
        "server_verification_cert": config["ca"],
        "proxy_options": ProxyOptions("HTTP", "127.0.0.1", config["proxy_port"]),
    }
    answer = {}
    step = "register"
    try:
        hub, device_id = config.get("hub"), config["registration_id"]
        if not hub:
            result = register(config, shared)
            state = result.registration_state
            hub, device_id = state.assigned_hub, state.device_id
            answer = {"status": result.status, "hub": hub, "device_id": device_id, "payload": state.response_payload}
        step = "connect"
        send(config, shared, hub, device_id, config.get("hub_key", config["key"]))
        return {**answer, "sent": 1}
    except Exception as error:
        return {"error": type(error).__name__, "step": step, "cause": str(error.__cause__ or error)}


print(json.dumps(main(json.load(sys.stdin))))
