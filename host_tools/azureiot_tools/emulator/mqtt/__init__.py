"""An MQTT 3.1.1 server's side without anything of Azure in it: packets (sans-I/O), then connections and sessions."""
