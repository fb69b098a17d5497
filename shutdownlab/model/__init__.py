"""A country and its shutdown as typed, frozen data: topology, worked-out network, policies, scenario. Pure."""
