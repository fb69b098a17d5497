"""The emulated network: Mininet through netlink, Open vSwitch, links and their delays, packet recording."""
