"""A shop's traffic, made up and seeded, with attacks in it: what the detectors find of them, and what they find without.

`python -m tests.simulator` writes what docs/detection.md says in figures. All of it is SYNTHETIC: the traffic is what the
author of the detectors imagines a shop to be, and says nothing about another one.
"""
