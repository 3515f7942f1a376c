"""A shell next to a process that runs: what may be done to it, asked before, and the request to the launcher.

In: a process, a folder in which a runtime keeps its state. Out: what is so, and a job. May import the sandbox.
"""
