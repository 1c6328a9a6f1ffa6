"""The shop: back office, virtual hardware and the real firmware in one process, with a counter page to play at."""
