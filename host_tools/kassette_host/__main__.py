"""`python -m kassette_host`: the command line."""

from kassette_host.cli import main

main()
