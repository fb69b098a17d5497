"""What controllers stand on: OpenFlow, orders, the processes they run in."""
