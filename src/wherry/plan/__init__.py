"""A build plan: a frozen graph of steps.

May import: oci, dockerfile, golang, source.
"""
