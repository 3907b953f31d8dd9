"""Shared by all commands: one-line errors, devices, flag files and JSON records."""
