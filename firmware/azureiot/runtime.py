"""What differs between CPython and MicroPython, behind the same names. No other module asks where it runs.

READ and WRITE are the directions one can wait for; NAME means that a host name must be resolved first (`resolve`).
The module itself serves as the default clock: `ticks_ms`, `ticks_diff` and `unix_time` are what a clock has.
"""

import sys

READ = 1
WRITE = 4
NAME = 8

if sys.implementation.name == "micropython":
    from azureiot.runtime_micropython import (
        MAX_PACKET_BYTES,
        ROOTS,
        const,
        failure,
        handshake,
        read_into,
        resolve,
        tcp_connect,
        tcp_connected,
        ticks_diff,
        ticks_ms,
        tls_context,
        tls_wrap,
        unix_time,
        wait,
        write,
    )
else:
    from azureiot.runtime_cpython import (
        MAX_PACKET_BYTES,
        ROOTS,
        const,
        failure,
        handshake,
        read_into,
        resolve,
        tcp_connect,
        tcp_connected,
        ticks_diff,
        ticks_ms,
        tls_context,
        tls_wrap,
        unix_time,
        wait,
        write,
    )

__all__ = (
    "MAX_PACKET_BYTES",
    "NAME",
    "READ",
    "ROOTS",
    "WRITE",
    "const",
    "failure",
    "handshake",
    "read_into",
    "resolve",
    "tcp_connect",
    "tcp_connected",
    "ticks_diff",
    "ticks_ms",
    "tls_context",
    "tls_wrap",
    "unix_time",
    "wait",
    "write",
)
