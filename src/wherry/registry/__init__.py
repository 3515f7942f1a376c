"""A store over HTTP: what a registry keeps, behind the promises of `store/contract.py`.

May import: oci, store, settings, host.
"""
