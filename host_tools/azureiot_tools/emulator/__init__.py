"""DPS and IoT Hub on one's own machine: docs/protocol.md §8 says what is accepted and what is refused.

`server.Emulator` is the whole of it; below it stand the services (dps, hub), what they know (registry, events) and the
MQTT server that carries them (mqtt, tls). Nothing here imports the device library `azureiot`.
"""

import logging

# What happens is told as events; who wants it as a log too sets a handler. Without one nothing goes to stderr.
logging.getLogger("azureiot.emulator").addHandler(logging.NullHandler())
