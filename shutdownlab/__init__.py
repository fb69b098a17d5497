"""Emulates a country's Internet on one machine and shuts it down the way real countries did."""
