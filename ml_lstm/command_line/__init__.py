"""How every command starts and ends: errors in one line, the devices it computes on, what it writes down."""
