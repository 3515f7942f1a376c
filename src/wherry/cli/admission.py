"""`wherry admission`: judge images where a cluster admits pods. Each command of the group is a module of its own."""

from wherry.cli.grouped import CommandGroup

command = CommandGroup(
    "admission",
    commands={
        "policy": ("wherry.cli.admission_policy", "Write a policy in the language of another engine."),
        "serve": ("wherry.cli.admission_serve", "Serve the webhook that judges images of pods."),
        "try": ("wherry.cli.admission_try", "Judge the images of manifests as the webhook would."),
    },
    help="Judge images where a Kubernetes cluster admits pods, by the same policies as `wherry check`.",
)
