"""Linux: system calls, namespaces, the sandbox, child processes, packet sockets."""
