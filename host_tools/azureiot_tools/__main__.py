"""The program `azureiot`, also `python -m azureiot_tools`: what must stand before the imports, which take a while."""

from __future__ import annotations

import sys


def entry() -> None:
    """Run the command line. SIGTERM and a closed terminal (SIGHUP) end it as Ctrl-C does, so that it tidies up."""
    try:
        import signal

        endings = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        for number in endings:
            if signal.getsignal(number) is signal.SIG_DFL:  # not under nohup, nor of a job in the background
                signal.signal(number, signal.default_int_handler)
        from azureiot_tools.cli import main

        code = main()
        for number in endings:  # what Python tidies up at its end is not interrupted halfway, with a traceback
            if signal.getsignal(number) is signal.default_int_handler:
                signal.signal(number, signal.SIG_DFL)
    except KeyboardInterrupt:  # before there was a command, or again while it was ending
        print("azureiot: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    entry()
