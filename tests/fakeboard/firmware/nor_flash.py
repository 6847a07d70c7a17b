"""NOR flash over a file, with the block protocol of esp32.Partition: programming clears bits, erasing sets them.

One thing is not as on the chip: this needs heap. The garbage collector can close a file that was read and forgotten,
but not one that was written: close those.
"""

import hardware
from registers import FLASH_OPERATIONS, POWER_CUT_AT, POWER_CUT_TORN, POWER_LOST

SECTOR_BYTES = 4096
_BLOCK_COUNT, _BLOCK_SIZE, _BLOCK_ERASE = 4, 5, 6


class Partition:
    """`size_bytes` from `offset` on of the flash that is the open file `file`."""

    def __init__(self, file, offset, size_bytes):
        self._file = file
        self._offset = offset
        self._size_bytes = size_bytes

    def readblocks(self, block, buffer, offset=0):
        return _whole(self._read, block, buffer, offset)

    def writeblocks(self, block, buffer, offset=None):
        return _whole(self._write, block, buffer, offset)

    def ioctl(self, operation, argument):
        return _whole(self._control, operation, argument)

    def _read(self, block, buffer, offset):
        self._file.seek(self._address(block, offset))
        self._file.readinto(buffer)

    def _write(self, block, buffer, offset):
        if offset is None:  # the simple form of the protocol: whole sectors, erased first
            for sector in range(block, block + len(buffer) // SECTOR_BYTES):
                self._control(_BLOCK_ERASE, sector)
        self._operation(self._program, self._address(block, offset or 0), buffer)

    def _control(self, operation, argument):
        if operation == _BLOCK_COUNT:
            return self._size_bytes // SECTOR_BYTES
        if operation == _BLOCK_SIZE:
            return SECTOR_BYTES
        if operation == _BLOCK_ERASE:
            self._operation(self._erase, self._address(argument, 0), SECTOR_BYTES)
        return 0

    def _address(self, block, offset):
        return self._offset + block * SECTOR_BYTES + offset

    def _operation(self, act, address, what):
        """Do it and count it, unless the power goes at this one. Can be done again when Ctrl-C came in between."""
        done = hardware.get(FLASH_OPERATIONS)
        if done == hardware.get(POWER_CUT_AT):
            if hardware.get(POWER_CUT_TORN):
                act(address, what, False)
            hardware.halt(POWER_LOST)
        act(address, what, True)
        hardware.put(FLASH_OPERATIONS, done + 1)

    def _program(self, address, buffer, whole):
        data = bytes(buffer) if whole else bytes(buffer)[: len(buffer) // 2]
        self._file.seek(address)
        old = self._file.read(len(data))
        if old != b"\xff" * len(data):
            data = bytes(old[i] & data[i] for i in range(len(data)))
        self._file.seek(address)
        self._file.write(data)

    def _erase(self, address, size_bytes, whole):
        self._file.seek(address)
        self._file.write(b"\xff" * (size_bytes if whole else size_bytes // 2))


def _whole(act, *arguments):
    """Finish `act` also when Ctrl-C comes in its middle, as the chip's driver does; the Ctrl-C comes again after it.

    Otherwise littlefs would be left half-way, with a state that no longer fits the flash.
    """
    interrupted = False
    while True:
        try:
            result = act(*arguments)
            if interrupted:
                hardware.interrupt_again()
            return result
        except KeyboardInterrupt:
            interrupted = True
