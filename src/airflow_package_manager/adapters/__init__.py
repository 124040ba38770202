"""The outside world behind the ports, one room per library; siblings do not know each other.

Each adapter raises only members of `errors` and `refusals`, and translates its library's exceptions at this border.
"""
