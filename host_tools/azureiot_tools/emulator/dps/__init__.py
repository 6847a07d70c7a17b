"""The Device Provisioning Service (docs/protocol.md §1, §2): who may register, which hub it is given, what it is told.

`mqtt` and `https` are how devices reach it; nothing else here knows a protocol.
"""
