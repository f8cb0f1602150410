"""Training runs: parameters, lifecycle, progress, metrics, logs, and the job that executes one."""
