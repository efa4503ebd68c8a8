"""`python -m authz_server` and the command `authz-server`."""

from authz_server.cli import main

if __name__ == "__main__":
    main()
