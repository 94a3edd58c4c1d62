"""From MQTT messages to logged and acked statements."""
