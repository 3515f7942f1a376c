"""Daemons that keep images of their own: found, asked what they take, and given some.

May import: oci, store, layer, image, host, settings.
"""
