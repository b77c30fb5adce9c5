"""What any process needs: files with leases, logs, redaction, progress, processes, failures, versions."""
