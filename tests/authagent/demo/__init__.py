"""The parts of `authagent demo`; the whole is in tests/system/test_demo.py."""
