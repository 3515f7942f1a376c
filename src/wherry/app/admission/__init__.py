"""Admission: a webhook that judges the images of pods by the policies of `wherry check`."""
