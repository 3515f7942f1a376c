"""What a program does while it runs: files, programs, sockets, signals, seen by a tracer of our own.

In: a container, or a process that runs. Out: events, and how it ended. May import the sandbox; judges nothing.
"""
