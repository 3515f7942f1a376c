"""`python -m wherry.cli`, for where the console script is not installed."""

from wherry.cli.start import main

main()
