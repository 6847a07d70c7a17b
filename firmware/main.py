"""Starts this slot's application. What the application cannot handle itself ends in a restart, never in silence."""

import sys
import time

try:
    from azureiot.runtime import once

    application = once("app.start").application()  # whose own memory is free before TLS needs it
    application.run()
except Exception as error:
    sys.print_exception(error)  # pyright: ignore[reportAttributeAccessIssue]  MicroPython's
    print("azureiot: the application stopped: %r; restart in 60 s, Ctrl-C for the REPL" % error)
    time.sleep(60)
    import machine

    machine.reset()
