"""What a run would measure, worked out without one: probes' packets followed through routing, rules, boxes, servers."""
