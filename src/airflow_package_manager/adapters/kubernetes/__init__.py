"""A cluster: requirements in two ConfigMaps, components in workloads, verdicts from their pods.

The official client is imported inside functions of `connection` alone, because it costs a process a second and up to
130 MB; everywhere else an API object is the JSON that it is. `Api` is the only way out. What a response means is pure
(`failures`, `pods`, `status`); `permissions` is the one table of what this room may need. No SQL, no files, no uv.
"""
