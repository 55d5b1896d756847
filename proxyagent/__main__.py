"""`proxyagent`, and `python -m proxyagent`."""

from proxyagent.cli import main

if __name__ == "__main__":
    main()
