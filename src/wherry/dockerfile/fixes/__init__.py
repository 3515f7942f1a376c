"""What `wherry lint --fix` changes: remedies that keep what a build makes, as edits of the lines that they concern."""
