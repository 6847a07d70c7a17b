"""Azure IoT for microcontrollers: DPS and IoT Hub over MQTT and TLS, one source for MicroPython and CPython.

    from azureiot import Device, X509

    device = Device(id_scope="0ne00000000", registration_id="mydevice001",
                    credential=X509("certs/mydevice001.crt", "certs/mydevice001.key"))
    device.connect()
    device.send({"temperature": 21.5}, properties={"temperatureAlert": "false"})
    device.close()
"""

__version__ = "0.1.0"


def __getattr__(name):
    # Importing the package costs next to nothing; a name's module loads when the name is first used. (MicroPython asks here
    # for submodules too, in `from azureiot import x`: inside the package it is `import azureiot.x as x`.)
    if name == "Device":
        from azureiot.blocking import Device as value
    elif name == "X509":
        from azureiot.credentials import X509 as value
    elif name == "AzureIoTError":
        from azureiot.errors import AzureIoTError as value
    else:
        raise AttributeError(name)
    return value
