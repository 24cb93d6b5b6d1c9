"""What an attacker would send: to the listeners, and in files. All on loopback, against one small server."""
