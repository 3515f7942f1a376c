"""Values to something read.

May import: oci, analysis, trust.
"""
