"""What the package manager knows: values and pure functions of their arguments.

Standard library and `packaging` only (`lock` and `report`: standard library only). No clock, no randomness, no
files, no network, no settings object: whatever a rule needs comes in as an argument.
"""
