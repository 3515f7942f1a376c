"""Blobs, names and results on disk.

May import: oci.
"""
