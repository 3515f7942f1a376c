"""What says whether an image may be relied on: keys, signatures, statements, and the judges that read them.

May import: oci.
"""
