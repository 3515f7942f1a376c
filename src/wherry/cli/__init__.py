"""The only place that reads the environment.

May import: everything.
"""
