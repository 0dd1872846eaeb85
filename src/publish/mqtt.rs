//! One connection to the broker, in MQTT 5 or 3.1.1: the only home of rumqttc.
//!
//! A connection is made, lives and ends; it is never mended. rumqttc's own reconnecting forgets messages that it had accepted, and may stop
//! sending for ever; so the first error ends the [`Connection`], nothing of the client survives, and whoever owns the messages makes a new one.
//! The client is polled by a task of its own, since a poll that is cancelled can lose what it was about to write; and it is given messages
//! without waiting, since a poll that waits for its own queue never ends.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport, v5};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::flight::{CLIENT_QUEUE, WINDOW};
use super::inbox::Incoming;
use super::payload::{Kind, Message, Qos};
use crate::config::{self, MqttVersion};

mod lost;

pub(super) use lost::Lost;
use lost::{lost_v5, lost_v311};

/// Longer than a TLS handshake over a bad mobile link, shorter than anybody's patience.
const CONNECT_WITHIN_SECS: u64 = 10;
/// Commands are short; our own announcements to Home Assistant, which the broker gives back, grow with a camera's zones and lines. With
/// MQTT 5 the broker is told; with 3.1.1 a larger packet ends the connection. On the next one, whose session is a new one, only what is
/// retained comes again; that one therefore does not listen.
const LARGEST_INCOMING_BYTES: u32 = 1 << 20;
/// What we send at most: room for a picture; a message beyond it is a mistake, and many brokers would close the connection over it.
pub(super) const LARGEST_OUTGOING_BYTES: usize = 4 << 20;
/// The client for MQTT 5 panics below 5 s; the protocol carries 16 bits of seconds.
const KEEP_ALIVE_SECS: std::ops::RangeInclusive<u64> = 5..=65_535;

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Happening {
    /// The broker welcomed us.
    Connected {
        /// How many QoS 1 messages it takes at once, if it said so.
        receive_maximum: Option<u16>,
        /// The largest packet that it takes, if it said so.
        largest_packet: Option<u32>,
    },
    /// A message was written to the socket; identifier 0 is QoS 0.
    Written(u16),
    /// The broker has a message.
    Acknowledged(u16),
    /// The broker does not want a message, and says why.
    Refused(u16, String),
    /// Our farewell was written to the socket.
    SaidGoodbye,
    /// The broker answered a subscription.
    Subscribed(u16),
    /// A message came for us.
    Incoming(Incoming),
    /// Anything else that shows that the broker is alive.
    Alive,
    /// The end.
    Lost(Lost),
}

/// A connection, from the attempt to its end. Dropped, it closes the socket at once.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    happenings: mpsc::Receiver<Happening>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Client {
    V5(v5::AsyncClient),
    V311(rumqttc::AsyncClient),
}

impl Connection {
    /// Begins to connect. `will` is what the broker says for us when we vanish. Must be called within a runtime.
    pub(super) fn begin(mqtt: &config::Mqtt, tls: Option<Arc<ClientConfig>>, will: &Message) -> Self {
        let (tell, happenings) = mpsc::channel(CLIENT_QUEUE);
        let transport = tls.map_or(Transport::Tcp, |t| Transport::Tls(TlsConfiguration::Rustls(t)));
        let (client, task) = match mqtt.version {
            MqttVersion::V5 => {
                let (client, events) = v5::AsyncClient::new(options_v5(mqtt, transport, will), CLIENT_QUEUE);
                (Client::V5(client), tokio::spawn(poll_v5(events, tell)))
            }
            MqttVersion::V311 => {
                let (client, mut events) = rumqttc::AsyncClient::new(options_v311(mqtt, transport, will), CLIENT_QUEUE);
                events.set_network_options(network_options());
                (Client::V311(client), tokio::spawn(poll_v311(events, tell)))
            }
        };
        Self { client, happenings, task }
    }

    /// What happens next. May be cancelled and called again.
    pub(super) async fn next(&mut self) -> Happening {
        self.happenings.recv().await.unwrap_or_else(|| Happening::Lost(Lost::because("the client ended by itself")))
    }

    /// Gives the client a message, without waiting; false when it takes none.
    pub(super) fn hand(&self, message: Message) -> bool {
        let Message { topic, body, retain, qos, kind, expires_secs } = message;
        match &self.client {
            Client::V5(client) => {
                let properties = v5::mqttbytes::v5::PublishProperties {
                    payload_format_indicator: (kind != Kind::Picture).then_some(1),
                    message_expiry_interval: expires_secs,
                    user_properties: schema_property(kind),
                    content_type: Some(kind.content_type().to_owned()),
                    ..Default::default()
                };
                client.try_publish_with_properties(topic, qos_v5(qos), retain, body, properties).is_ok()
            }
            Client::V311(client) => client.try_publish(topic, qos_v311(qos), retain, body).is_ok(),
        }
    }

    /// Asks the client to subscribe, without waiting; false when it takes nothing.
    pub(super) fn subscribe(&self, filters: &[String]) -> bool {
        match &self.client {
            Client::V5(client) => {
                let filter = |f: &String| v5::mqttbytes::v5::Filter::new(f, v5::mqttbytes::QoS::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(filter)).is_ok()
            }
            Client::V311(client) => {
                let filter = |f: &String| rumqttc::SubscribeFilter::new(f.clone(), rumqttc::QoS::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(filter)).is_ok()
            }
        }
    }

    /// Asks the client to say goodbye, which withdraws the last will.
    pub(super) fn say_goodbye(&self) -> bool {
        match &self.client {
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::V311(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn schema_property(kind: Kind) -> Vec<(String, String)> {
    kind.schema_name().map(|name| ("schema".to_owned(), name)).into_iter().collect()
}

/// How often the broker is pinged.
pub(super) fn keep_alive(mqtt: &config::Mqtt) -> Duration {
    Duration::from_secs(mqtt.keep_alive.as_secs().clamp(*KEEP_ALIVE_SECS.start(), *KEEP_ALIVE_SECS.end()))
}

/// URLs write IPv6 addresses in brackets; the resolver and certificates do without.
pub(super) fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Messages are small and urgent: waiting to fill a segment would cost up to 40 ms against a delayed acknowledgement.
fn network_options() -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_WITHIN_SECS);
    network
}

fn options_v5(mqtt: &config::Mqtt, transport: Transport, will: &Message) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(&mqtt.client_id, bare_host(&mqtt.host), mqtt.port);
    let properties = v5::mqttbytes::v5::LastWillProperties {
        delay_interval: None,
        payload_format_indicator: Some(1),
        message_expiry_interval: None,
        content_type: Some(will.kind.content_type().to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: schema_property(will.kind),
    };
    let will = v5::mqttbytes::v5::LastWill::new(
        &will.topic,
        will.body.clone(),
        qos_v5(will.qos),
        will.retain,
        Some(properties),
    );
    options
        .set_transport(transport)
        .set_keep_alive(keep_alive(mqtt))
        .set_clean_start(true)
        .set_last_will(will)
        .set_max_packet_size(Some(LARGEST_INCOMING_BYTES))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_connection_timeout(CONNECT_WITHIN_SECS)
        .set_network_options(network_options());
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.username, login.password.reveal());
    }
    options
}

fn options_v311(mqtt: &config::Mqtt, transport: Transport, will: &Message) -> rumqttc::MqttOptions {
    let mut options = rumqttc::MqttOptions::new(&mqtt.client_id, bare_host(&mqtt.host), mqtt.port);
    let will = rumqttc::LastWill::new(&will.topic, will.body.clone(), qos_v311(will.qos), will.retain);
    options
        .set_transport(transport)
        .set_keep_alive(keep_alive(mqtt))
        .set_clean_session(true)
        .set_last_will(will)
        .set_max_packet_size(LARGEST_INCOMING_BYTES as usize, LARGEST_OUTGOING_BYTES + (64 << 10))
        .set_inflight(WINDOW);
    if let Some(login) = &mqtt.login {
        options.set_credentials(&login.username, login.password.reveal());
    }
    options
}

fn qos_v5(qos: Qos) -> v5::mqttbytes::QoS {
    match qos {
        Qos::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        Qos::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
    }
}

fn qos_v311(qos: Qos) -> rumqttc::QoS {
    match qos {
        Qos::AtMostOnce => rumqttc::QoS::AtMostOnce,
        Qos::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
    }
}

async fn poll_v5(mut events: v5::EventLoop, tell: mpsc::Sender<Happening>) {
    loop {
        let happening = match events.poll().await {
            Ok(v5::Event::Incoming(packet)) => incoming_v5(packet),
            Ok(v5::Event::Outgoing(what)) => match outgoing(&what) {
                Some(happening) => happening,
                None => continue,
            },
            Err(e) => Happening::Lost(lost_v5(&e)),
        };
        let over = matches!(happening, Happening::Lost(_));
        if tell.send(happening).await.is_err() || over {
            return;
        }
    }
}

async fn poll_v311(mut events: rumqttc::EventLoop, tell: mpsc::Sender<Happening>) {
    loop {
        let happening = match events.poll().await {
            Ok(rumqttc::Event::Incoming(packet)) => incoming_v311(&packet),
            Ok(rumqttc::Event::Outgoing(what)) => match outgoing(&what) {
                Some(happening) => happening,
                None => continue,
            },
            Err(e) => Happening::Lost(lost_v311(&e)),
        };
        let over = matches!(happening, Happening::Lost(_));
        if tell.send(happening).await.is_err() || over {
            return;
        }
    }
}

fn incoming_v5(packet: v5::Incoming) -> Happening {
    use v5::mqttbytes::v5::PubAckReason;
    match packet {
        v5::Incoming::ConnAck(ack) => Happening::Connected {
            receive_maximum: ack.properties.as_ref().and_then(|p| p.receive_max),
            largest_packet: ack.properties.as_ref().and_then(|p| p.max_packet_size),
        },
        v5::Incoming::PubAck(ack) => match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Happening::Acknowledged(ack.pkid),
            // A full broker refuses every message; giving them up one by one would empty the outbox.
            PubAckReason::QuotaExceeded => Happening::Lost(Lost::unwelcome("the broker's quota is exceeded")),
            reason => Happening::Refused(ack.pkid, format!("{reason:?}")),
        },
        v5::Incoming::SubAck(ack) => Happening::Subscribed(ack.pkid),
        v5::Incoming::Publish(p) => match String::from_utf8(p.topic.to_vec()) {
            Ok(topic) => Happening::Incoming(Incoming { topic, body: p.payload.to_vec(), retained: p.retain }),
            Err(_) => Happening::Alive,
        },
        _ => Happening::Alive,
    }
}

fn incoming_v311(packet: &rumqttc::Incoming) -> Happening {
    match packet {
        rumqttc::Incoming::ConnAck(_) => Happening::Connected { receive_maximum: None, largest_packet: None },
        rumqttc::Incoming::PubAck(ack) => Happening::Acknowledged(ack.pkid),
        rumqttc::Incoming::SubAck(ack) => Happening::Subscribed(ack.pkid),
        rumqttc::Incoming::Publish(p) => {
            Happening::Incoming(Incoming { topic: p.topic.clone(), body: p.payload.to_vec(), retained: p.retain })
        }
        _ => Happening::Alive,
    }
}

fn outgoing(what: &Outgoing) -> Option<Happening> {
    match what {
        Outgoing::Publish(packet_id) | Outgoing::Subscribe(packet_id) => Some(Happening::Written(*packet_id)),
        Outgoing::Disconnect => Some(Happening::SaidGoodbye),
        // Our window is made so that this cannot be; if it is, the client would wait for an acknowledgement that may never come.
        Outgoing::AwaitAck(_) => Some(Happening::Lost(Lost::because("the client ran out of packet identifiers"))),
        // Pings that we write say nothing about the broker: only what comes in keeps a connection alive.
        _ => None,
    }
}
