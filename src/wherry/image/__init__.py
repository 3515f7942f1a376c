"""Layers to an image.

May import: oci, store, layer.
"""
