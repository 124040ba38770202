"""The only room that changes requirements or restarts anything: look at the world, do at most one mutation, save.

Each step is idempotent and starts from what the world shows, so that any process may take over after any line. No
loop, no sleep, no thread: the driver calls again. What is remembered is in the operation's row, and nowhere else.
"""
