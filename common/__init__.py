"""What the seven servers share: everything that is not the lesson."""
