"""Runs the test files of this folder on MicroPython, which has no pytest: micropython run.py [test_file.py …]

The same files run under pytest on CPython. The last line counts: "N passed, N failed".
"""

import os
import sys


def main(names):
    passed = failed = 0
    for name in names or sorted(name for name in os.listdir(".") if name.startswith("test_")):
        module = __import__(name[:-3])
        for test in sorted(dir(module)):
            if not test.startswith("test_"):
                continue
            try:
                getattr(module, test)()
                passed += 1
            except Exception as error:
                failed += 1
                print("FAILED %s::%s" % (name, test))
                sys.print_exception(error)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
