"""A device on Microsoft's azure-iot-device, unmodified; runs in that package's own environment.

argv[1]: a JSON file with proxy_port, ca (PEM text), certificate, key (paths), id_scope, registration_id, messages.
Prints one JSON object: what DPS answered and what was sent, or the error.
"""

import json
import sys

from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient, ProxyOptions


def main(config):
    shared = {
        "server_verification_cert": config["ca"],
        "proxy_options": ProxyOptions("HTTP", "127.0.0.1", config["proxy_port"]),
    }
    x509 = X509(config["certificate"], config["key"])
    provisioning = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host="localhost",
        registration_id=config["registration_id"],
        id_scope=config["id_scope"],
        x509=x509,
        **shared,
    )
    try:
        result = provisioning.register()
    except Exception as error:
        return {"error": type(error).__name__, "cause": str(error.__cause__ or error)}
    state = result.registration_state
    device = IoTHubDeviceClient.create_from_x509_certificate(
        x509=x509, hostname=state.assigned_hub, device_id=state.device_id, **shared
    )
    device.connect()
    for number in range(config["messages"]):
        message = Message(json.dumps({"number": number}), content_encoding="utf-8", content_type="application/json")
        message.message_id = f"m-{number}"
        message.custom_properties["temperatureAlert"] = "true"
        message.custom_properties["space and &"] = "ü=1"
        device.send_message(message)
    device.shutdown()
    return {
        "status": result.status,
        "substatus": state.sub_status,
        "hub": state.assigned_hub,
        "device_id": state.device_id,
        "sent": config["messages"],
    }


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(main(json.load(file))))
