"""The shipping machines on a simulated network, disk and clock, driven from a seed, judged by an oracle."""
