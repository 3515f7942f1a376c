"""`python -m wherry`."""

from wherry.cli.start import main

main()
