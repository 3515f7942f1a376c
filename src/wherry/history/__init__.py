"""Figures of builds over time: a journal, a database, and what both are read for.

May import: nothing but the words.
"""
