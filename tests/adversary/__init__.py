"""What people who mean harm can send, and what becomes of it."""
