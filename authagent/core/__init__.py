"""The mind of the AuthAgent: pure machines, `step(event, now) -> list[Command]`.

Rules of this room: no socket, no file, no clock, no chance. Time is the argument `now`; chance is the Dice handed in.
"""
