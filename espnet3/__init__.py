"""ESPnet3 Systems: the library. It knows neither containers nor Kubernetes; importing it costs nothing."""
