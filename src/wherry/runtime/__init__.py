"""Where one container runs.

May import: oci, elf, store, sandbox, analysis.
"""
