"""Implementations of the model port: vendors over the network, the demo model, scripted models."""
