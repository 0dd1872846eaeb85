"""A plain subscriber, by a common client library: does what the tap read off the wire reach a customer, byte for byte?

It may miss what a broker lost that was killed: that is the broker's loss, and counted as such.
"""
import hashlib
import threading

import paho.mqtt.client as mqtt


class Witness:
    """Subscribes to every event, with a session that outlives connections."""

    def __init__(self, port, prefix):
        self.digests, self.times, self.lock = set(), 0, threading.Lock()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="soak-witness", clean_session=False)
        self.client.reconnect_delay_set(0.2, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{prefix}/#", qos=1)
        self.client.on_message = self.heard
        self.prefix, self.port = prefix, port

    def start(self):
        self.client.connect_async("127.0.0.1", self.port, keepalive=5)
        self.client.loop_start()

    def heard(self, _client, _data, message):
        if not message.topic.endswith("/events"):
            return
        with self.lock:
            self.times += 1
            self.digests.add(hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest())

    def end(self, ledger):
        self.client.loop_stop()
        sent = {entry.digest for entry in ledger.entries.values()}
        if strange := len(self.digests - sent):
            ledger.fault("witness", f"{strange} events that the wire never carried")
        return {"events": len(self.digests), "messages": self.times, "lost_by_the_broker": len(sent - self.digests)}
