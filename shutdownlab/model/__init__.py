"""A country and its shutdown as typed, frozen data: topology, laid-out network, policies, scenario. Pure."""
