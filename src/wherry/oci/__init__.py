"""The documents of an image: descriptors, manifests, indexes, configs, references.

May import: nothing but the four words. No file, network, process or clock.
"""
