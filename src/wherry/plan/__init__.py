"""What shall happen: a frozen graph of steps.

May import: oci, dockerfile, golang, source.
"""
