"""The image of a board's flash, seen from the host: the partition's bytes, and the files that littlefs keeps in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from littlefs import LittleFS, LittleFSError

SECTOR_BYTES = 4096
OFFSET = 0x200000  # where an ESP32 with 4 MB keeps its files (docs/micropython.md §6)


class Flash:
    """A file as long as the flash chip, with the file system's partition at its end."""

    def __init__(self, path: Path, filesystem_bytes: int) -> None:
        self.path = path
        self.size_bytes = filesystem_bytes
        if not path.exists():
            with path.open("wb") as file:
                for _ in range((OFFSET + filesystem_bytes) // SECTOR_BYTES):
                    file.write(b"\xff" * SECTOR_BYTES)

    def image(self) -> bytes:
        """The partition, byte by byte."""
        with self.path.open("rb") as file:
            file.seek(OFFSET)
            return file.read(self.size_bytes)

    def files(self) -> dict[str, bytes]:
        """All files by absolute path; none while the partition is not formatted."""
        if self.image()[:SECTOR_BYTES] == b"\xff" * SECTOR_BYTES:
            return {}
        filesystem = self._mounted()
        found = {}
        for folder, _, names in filesystem.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with filesystem.open(path, "rb") as file:
                    found[path] = file.read()
        return found

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files there, as a factory would; the board must have no power."""
        if self.image()[:SECTOR_BYTES] == b"\xff" * SECTOR_BYTES:
            filesystem = self._unmounted()
            filesystem.format()
            filesystem.mount()
        else:
            filesystem = self._mounted()
        for path, content in files.items():
            filesystem.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            with filesystem.open(path, "wb") as file:
                file.write(content)
        with self.path.open("r+b") as image:
            image.seek(OFFSET)
            image.write(filesystem.context.buffer)

    def _mounted(self) -> LittleFS:
        filesystem = self._unmounted()
        try:
            filesystem.mount()
        except LittleFSError as error:
            raise ValueError(f"{self.path} holds no littlefs file system: {error}") from error
        return filesystem

    def _unmounted(self) -> LittleFS:
        """The parameters are those of VfsLfs2.mkfs (docs/micropython.md §6)."""
        filesystem = LittleFS(
            block_size=SECTOR_BYTES,
            block_count=self.size_bytes // SECTOR_BYTES,
            read_size=32,
            prog_size=32,
            cache_size=128,
            lookahead_size=32,
            name_max=255,
            mount=False,
        )
        filesystem.context.buffer = bytearray(self.image())
        return filesystem
