# Runs on the board, sent to its REPL by azureiot_tools.board.slots: what an installation does there with files.
# pyright: reportAttributeAccessIssue=false
# MicroPython 1.22 and newer; everything is printed, one line a fact, for the host to read.
import binascii
import hashlib
import os

_DIRECTORY = 0x4000


def _sha256(path):
    digest = hashlib.sha256()
    buffer = bytearray(512)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return binascii.hexlify(digest.digest()).decode()
            digest.update(view[:count])


def show(path):
    # "SHA256 SIZE PATH" for a file, and for each file below a directory, which itself is "- 0 PATH"; nothing if missing
    try:
        found = os.stat(path)
    except OSError:
        return
    if found[0] & _DIRECTORY:
        print("- 0", path)
        for entry in os.ilistdir(path):
            show(path + "/" + entry[0])
    else:
        print(_sha256(path), found[6], path)


def copy(source, target):
    buffer = bytearray(512)
    view = memoryview(buffer)
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while True:
            count = reader.readinto(buffer)
            if not count:
                return
            writer.write(view[:count])


def remove(path):
    # a file, or a directory with all that is in it; a missing one is as good as removed
    try:
        directory = os.stat(path)[0] & _DIRECTORY
    except OSError:
        return
    if directory:
        for entry in list(os.ilistdir(path)):
            remove(path + "/" + entry[0])
        os.rmdir(path)
    else:
        os.remove(path)


def make_directory(path):
    try:
        os.mkdir(path)
    except OSError:
        os.stat(path)  # it exists already, or this says what is wrong


def fill(path):
    # Takes every free block of the file system, which erases it, and gives them back. A dot for each 64 KB.
    block = bytearray(4096)
    count = 0
    try:
        with open(path, "wb") as file:
            while True:
                file.write(block)
                count += 1
                if count % 16 == 0:
                    print(end=".")
    except OSError as error:
        if error.errno != 28:  # ENOSPC, which MicroPython's errno module does not name
            raise
    finally:
        os.remove(path)
