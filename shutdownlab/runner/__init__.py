"""Plays a scenario's timeline in a running country."""
