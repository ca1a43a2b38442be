"""Starting servers, driving them as clients do, and asking the system about them."""
