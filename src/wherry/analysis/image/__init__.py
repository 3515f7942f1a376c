"""Whole images: what each layer has, what a container sees of it, and what is shipped in vain.

Arrows: layer, oci, store.
"""
