"""A device on Microsoft's azure-iot-device, unmodified, at a hub; runs in that package's own environment.

argv[1]: a JSON file with proxy_port, ca (PEM text), certificate, key (paths), device_id.
Each line of standard input is a JSON list, the name of a method of `Device` and its arguments; each is answered by one
line {"answer": …} or {"error": …}. What happens to the device is a line {"event": …, …} of its own.
"""

import json
import sys
import threading

from azure.iot.device import X509, IoTHubDeviceClient, Message, MethodResponse, ProxyOptions

lock = threading.Lock()


def say(**line):
    with lock:
        print(json.dumps(line), flush=True)


class Device:
    def __init__(self, config):
        self._client = client = IoTHubDeviceClient.create_from_x509_certificate(
            x509=X509(config["certificate"], config["key"]),
            hostname="localhost",
            device_id=config["device_id"],
            server_verification_cert=config["ca"],
            proxy_options=ProxyOptions("HTTP", "127.0.0.1", config["proxy_port"]),
        )
        client.on_connection_state_change = lambda: say(event="connection", connected=client.connected)
        client.on_background_exception = lambda error: say(event="error", error=str(error.__cause__ or error))

    def connect(self):
        self._client.connect()

    def disconnect(self):
        self._client.disconnect()

    def listen_for_messages(self):
        self._client.on_message_received = lambda message: say(
            event="message",
            data=message.data.decode(),
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            ack=message.ack,
            expiry=message.expiry_time_utc,
            properties=message.custom_properties,
        )

    def listen_for_methods(self):
        def answer(request):
            say(event="method", name=request.name, payload=request.payload)
            response = MethodResponse.create_from_method_request(request, 207, {"echo": request.payload})
            self._client.send_method_response(response)

        self._client.on_method_request_received = answer

    def listen_for_desired(self):
        self._client.on_twin_desired_properties_patch_received = lambda patch: say(event="desired", patch=patch)

    def twin(self):
        return self._client.get_twin()

    def report(self, patch):
        self._client.patch_twin_reported_properties(patch)

    def send(self, text):
        self._client.send_message(Message(text))

    def shutdown(self):
        self._client.shutdown()


with open(sys.argv[1], encoding="utf-8") as file:
    device = Device(json.load(file))
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        say(answer=getattr(device, name)(*arguments))
    except Exception as error:
        say(error=f"{type(error).__name__}: {error.__cause__ or error}")
