"""What any process needs: files with leases, logs, redaction, progress, processes, failures, versions.

It knows neither configs nor stages; whatever writes a file or a log does it through here.
"""
