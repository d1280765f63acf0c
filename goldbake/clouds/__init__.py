"""What is known of a cloud itself: its session, its errors, its quotas. Images and instances build on it."""
