"""A real server in the browser: what it does, call by call, and the reader holds it before one."""
