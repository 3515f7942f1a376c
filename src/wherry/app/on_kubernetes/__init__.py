"""Builds in a cluster: a Job a call, a pod a platform, the index and its tags made here."""
