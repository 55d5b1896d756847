"""Real processes, real sockets, real signals: what the whole does when its parts are killed, stopped and cut off."""
