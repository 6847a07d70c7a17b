"""The thread that keeps a board going: it alone touches the mainboard and the ports while it runs."""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fakeboard.mainboard import Mainboard
from fakeboard.ports import Port

_TICK_S = 0.02  # how often the registers are looked at, at least
_WAITING_TICK_S = 0.002  # while the chip has not taken all that was typed
_DEADLINE_S = 20


class Relay:
    """Moves bytes between the board and whoever has a port open. `close` must be called after `start`.

    ports_need_power: they vanish when the board's power goes.
    """

    def __init__(self, mainboard: Mainboard, *, ports_need_power: bool) -> None:
        self._mainboard = mainboard
        self._ports_need_power = ports_need_power
        self._ports: list[Port] = []
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._woken, self._waker = os.pipe()
        self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fakeboard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call(self, action: Callable[[], Any]) -> Any:
        """Have the thread do something, and wait for it. Raises what it raises, or what the thread has died of."""
        self._check()
        if self._closing:
            return action()  # there is no thread any more
        done: Future[Any] = Future()
        self._calls.put((action, done))
        os.write(self._waker, b"\0")
        return done.result(_DEADLINE_S)

    def show(self, data: bytes) -> None:
        """Send to all ports. For the mainboard, in the thread."""
        for port in self._ports:
            port.send(data)

    def attach(self, port: Port) -> None:
        self.call(lambda: self._ports.append(port))

    def drop_ports(self) -> None:
        """All ports vanish, also for the programs that have them open. In the thread."""
        while self._ports:
            self._ports.pop().close()

    def close(self) -> None:
        """End the thread, the chip and the ports. Raises what the thread has died of, if it did."""
        if not self._closing:
            self._closing = True
            os.write(self._waker, b"\0")
            self._thread.join(_DEADLINE_S)
            os.close(self._waker)
            os.close(self._woken)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the fake board has failed") from self._failure

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wait()
                while not self._calls.empty():
                    self._do(*self._calls.get())
                for port in self._ports:
                    self._mainboard.type(port.read())
                    port.flush()
                self._mainboard.step()
                if self._ports_need_power and self._mainboard.chip is None:
                    self.drop_ports()
        except BaseException as error:  # reported by the next call
            self._failure = error
        finally:
            self._mainboard.power_off()
            self.drop_ports()
            while not self._calls.empty():
                self._calls.get()[1].cancel()

    def _wait(self) -> None:
        chip = self._mainboard.chip
        sources = [self._woken, *(port.fileno() for port in self._ports), chip and chip.fileno()]
        tick_s = _WAITING_TICK_S if self._mainboard.is_waiting() else _TICK_S
        ready, _, _ = select.select([source for source in sources if source is not None], [], [], tick_s)
        if self._woken in ready:
            os.read(self._woken, 4096)

    @staticmethod
    def _do(action: Callable[[], Any], done: Future[Any]) -> None:
        try:
            done.set_result(action())
        except BaseException as error:  # the caller's to handle
            done.set_exception(error)
