"""One process in a rootfs, rootless.

May import: host.
"""
