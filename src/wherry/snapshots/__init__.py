"""Unpacked layers that steps and containers mount: snapshots, leases on them, and who writes them.

May import: oci, store.
"""
