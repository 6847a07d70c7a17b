"""The application runs on boards alone: its tests are collected by host/test_app_on_micropython.py, for MicroPython."""

collect_ignore_glob = ["test_*.py"]
