"""One module per command: its arguments, and how its result reads. The work is done by the packages beside this one."""
