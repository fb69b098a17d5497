"""The emulated network: Mininet built through netlink, Open vSwitch, links with delay and loss, packet recording."""
