"""Policies that confine a container to what a traced run of it did: file list, seccomp, AppArmor, SELinux.

In: values of a run. Out: text. What a run never did, a policy forbids: each says how it was seen.
"""
