"""Pins that help needs no heavy package: `azureiot --help` must be quick, and work without the tools' dependencies."""

from __future__ import annotations

import subprocess
import sys


def test_the_parser_is_built_without_cryptography() -> None:
    program = """
import argparse, importlib, sys
commands = argparse.ArgumentParser().add_subparsers()
for name in ("ca", "device", "pfx", "cert", "roots"):
    importlib.import_module("azureiot_tools.commands." + name).add(commands)
print([name for name in ("cryptography", "OpenSSL", "aiohttp") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
