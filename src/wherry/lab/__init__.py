"""What only trying can tell: builds are made and measured in order to know.

May import: golang, elf, oci, source, build, base, layer, store, analysis, host.
"""
