"""What a server does, call by call, seen from outside: it is run unmodified, and recorded."""
