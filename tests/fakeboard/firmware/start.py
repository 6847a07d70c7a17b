"""From power to the REPL, as ports/esp32/main.c and its frozen _boot.py and inisetup.py do it."""

import gc
import os
import sys
import time

import hardware
import nor_flash
import vfs
from registers import FAILED, RAW_REPL, SOFT_RESET, USER_CODE

STANDINS = ("time", "os", "network", "socket", "machine", "esp32", "ntptime")  # each after those it imports
# What a bare board holds after its first start (ports/esp32/modules/inisetup.py).
FIRST_BOOT_PY = """\
# This file is executed on every boot (including wake-boot from deepsleep)
#import esp
#esp.osdebug(None)
#import webrepl
#webrepl.start()
"""


def start(folder, main):
    """Bring up the hardware and the flash, then run boot.py and, unless in raw mode, main.py in the globals `main`."""
    config = hardware.connect(folder)
    try:
        _put_hardware_in(config)
        flash = open(config["flash"], "r+b")
        _mount(nor_flash.Partition(flash, config["offset"], config["size_bytes"]))
    except Exception as error:
        sys.print_exception(error)
        hardware.halt(FAILED)
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    gc.collect()
    hardware.put(USER_CODE, 1)
    if _run("boot.py", main) and not hardware.get(RAW_REPL):  # nor after a failure of boot.py
        _run("main.py", main)


def _put_hardware_in(config):
    """Load the stand-ins, which `import` finds from now on, and hide the modules that make the pretence."""
    modules = sys.modules
    before = set(modules)
    for name in STANDINS:
        modules.pop(name, None)
        __import__("standins." + name)
        modules[name] = modules["standins." + name]
    import board_sys

    board_sys.describe(config)
    modules["sys"] = board_sys
    for name in list(modules):
        if name not in STANDINS and name not in before and name != "sys":
            del modules[name]
    for name in ("hardware", "nor_flash", "registers", "start"):
        del modules[name]


def _mount(partition):
    vfs.umount("/")
    try:
        vfs.mount(partition, "/")  # finds out which file system it is
    except OSError:
        sector = bytearray(nor_flash.SECTOR_BYTES)
        partition.readblocks(0, sector)
        while sector != b"\xff" * len(sector):
            print("The filesystem appears to be corrupted.")
            time.sleep(3)
        print("Performing initial setup")
        vfs.VfsLfs2.mkfs(partition)
        vfs.mount(partition, "/")
        with open("boot.py", "w") as file:
            file.write(FIRST_BOOT_PY)


def _run(name, main):
    """Run a file if it is there. False when it failed; sys.exit() in it is a soft reset, as on the board."""
    try:
        os.stat(name)
    except OSError:
        return True
    try:
        execfile(name, main)
        return True
    except SystemExit:
        hardware.halt(SOFT_RESET)
    except BaseException as error:
        sys.print_exception(error)
    return False
