"""The simulator: the real firmware as a process, virtual hardware around it, and the host that owns its time."""
