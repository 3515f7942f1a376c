"""Writes to connections and pipes that nobody reads: seen by eBPF or by our own tracer, counted and explained.

May import: oci, elf, store, snapshots, sandbox, analysis.
"""
