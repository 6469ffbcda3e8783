"""The machine: cores, memory, devices, threads, locks, Ctrl-C."""
