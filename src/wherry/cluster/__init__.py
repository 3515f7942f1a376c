"""Where many containers run: Kubernetes' manifests.

May import: nothing but the four words.
"""
