"""What training costs: samples a second on this machine, operations and memory."""
