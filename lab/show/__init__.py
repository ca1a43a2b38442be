"""What a command shows: tables, pictures, what it was run on."""
