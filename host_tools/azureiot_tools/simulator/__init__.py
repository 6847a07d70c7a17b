"""Devices on the desktop: what they send, and the program that runs as well on CPython as on MicroPython."""
