"""Fakes of the ports, one module each: scriptable, and held to the same contract suites as the real things."""
