"""Debian's formats: control paragraphs, versions, package archives, release files.

May import: nothing but the four words.
"""
