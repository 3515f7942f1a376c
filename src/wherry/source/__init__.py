"""What the user has: a folder, a module.

May import: golang, host.
"""
