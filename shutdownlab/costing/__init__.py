"""What a shutdown costs, worked out from who could reach what and for how long. Pure."""
