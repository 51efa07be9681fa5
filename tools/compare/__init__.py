"""One task, several libraries: what one writes, and what a crash at each point costs."""
