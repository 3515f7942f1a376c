"""Where one container runs.

May import: oci, elf, store, snapshots, sandbox, analysis.
"""
