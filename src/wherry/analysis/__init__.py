"""What is in an image, and what for. Judges: nothing is changed.

May import: oci, golang, elf, foreign, store, layer.
"""
