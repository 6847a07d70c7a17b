"""An IoT hub over MQTT (docs/protocol.md §3): `service.Hub`, a policy for the broker in ../mqtt."""
