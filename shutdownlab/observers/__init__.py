"""What is seen from outside the country."""
