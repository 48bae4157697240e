"""Run time: a proxy in front of a model that counts the bits that each account may have read."""
