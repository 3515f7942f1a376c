"""Values to something read.

May import: oci, analysis, lab, trust.
"""
