"""What this machine offers: programs, toolchains, kernel features.

May import: golang.
"""
