"""Azure IoT for microcontrollers: DPS and IoT Hub over MQTT and TLS, one source for MicroPython and CPython.

`Device` (azureiot.blocking) is where to begin, with an `X509` (azureiot.credentials) to prove who it is; what goes
wrong is an `AzureIoTError` (azureiot.errors).
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # what __getattr__ gives, for editors and type checkers
    from azureiot.blocking import Device as Device
    from azureiot.credentials import X509 as X509
    from azureiot.errors import AzureIoTError as AzureIoTError


def __getattr__(name):
    # Importing the package costs next to nothing; a name's module loads when the name is first used. MicroPython asks
    # here for submodules too, in `from azureiot import x`: inside the package it is `import azureiot.x as x`.
    if name == "Device":
        from azureiot.blocking import Device as value
    elif name == "X509":
        from azureiot.credentials import X509 as value
    elif name == "AzureIoTError":
        from azureiot.errors import AzureIoTError as value
    else:
        raise AttributeError(name)
    return value
