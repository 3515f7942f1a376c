"""Values to something read.

May import: app, oci, analysis, lab, trust, history.
"""
