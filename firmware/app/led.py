"""What the LED says: a slow blink while the board comes online, steady light online, short flashes after a failure."""

from azureiot.runtime import const

# State: (period in ms, how much of it the LED is on)
WORKING = (1000, 500)
ONLINE = (1, 1)
FAILED = (400, 100)

_DIM = const(16)  # of 255: an RGB LED at full power dazzles


class Led:
    """machine: the module.  pin: where the LED is; None: there is none.  is_rgb: a WS2812, not a plain one."""

    def __init__(self, machine, pin, is_rgb: bool = False):
        self.state = WORKING
        self._pin = None if pin is None else machine.Pin(pin, machine.Pin.OUT)
        self._bitstream = machine.bitstream if is_rgb else None

    def tick(self, now_ms: int) -> None:
        """Show the state; to be called a few times a second."""
        if self._pin is None:
            return
        period_ms, on_ms = self.state
        on = now_ms % period_ms < on_ms
        if self._bitstream:
            # A WS2812 takes three bytes, green first; 400 ns high and 850 low are a 0, 800 and 450 a 1.
            self._bitstream(self._pin, 0, (400, 850, 800, 450), bytes((_DIM if on else 0, 0, 0)))
        else:
            self._pin.value(on)
