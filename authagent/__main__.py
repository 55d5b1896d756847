"""`authagent`, and `python -m authagent`."""

from authagent.cli import main

if __name__ == "__main__":
    main()
