"""What the log tells to other systems: metrics, alerts, check-ins."""
