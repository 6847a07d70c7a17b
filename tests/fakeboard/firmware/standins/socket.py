"""`socket`: the host's sockets, but names resolve only on a joined network, and only those of the weather.

So a program that forgets the Wi-Fi fails here as it does on the board, and none reaches beyond this machine.
"""

import hardware
import network
import usocket as _unix

_EAI_FAIL = -202  # what lwIP says for every failure


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    names = hardware.weather()["hosts"]
    if not network._joined() or not (host in names or host == "localhost" or host.startswith("127.")):
        raise OSError(_EAI_FAIL)
    return _unix.getaddrinfo(names.get(host, host), port, af, type, proto, flags)


def __getattr__(name):
    return getattr(_unix, name)
