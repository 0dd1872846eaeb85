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
use super::payload::{Message, Qos};
use super::tls;
use crate::config::{self, MqttVersion};

/// Longer than a TLS handshake over a bad mobile link, shorter than anybody's patience.
const CONNECT_WITHIN_SECS: u64 = 10;
/// Nothing is subscribed to, so that no large packet has a reason to come.
const LARGEST_INCOMING_BYTES: u32 = 64 * 1024;
/// The client for 3.1.1 refuses larger messages; this is what the protocol can carry.
const LARGEST_OUTGOING_BYTES: usize = 268_435_455;
/// The client for MQTT 5 panics below 5 s; the protocol carries 16 bits of seconds.
const KEEP_ALIVE_SECS: std::ops::RangeInclusive<u64> = 5..=65_535;
const CONTENT_TYPE: &str = "application/json";

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
    /// Anything else that shows that the broker is alive.
    Alive,
    /// The end.
    Lost(Lost),
}

/// Why a connection ended or was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// In words for a log line, without credentials.
    pub(super) why: String,
    /// Whether the broker does not want us, so that insisting does harm.
    pub(super) unwelcome: bool,
}

impl Lost {
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), unwelcome: false }
    }

    fn unwelcome(why: impl Into<String>) -> Self {
        Self { why: why.into(), unwelcome: true }
    }
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
        let Message { topic, body, retain, qos, .. } = message;
        match &self.client {
            Client::V5(client) => {
                let properties = v5::mqttbytes::v5::PublishProperties {
                    payload_format_indicator: Some(1),
                    message_expiry_interval: message.expires_secs,
                    user_properties: vec![("schema".to_owned(), message.kind.schema_name())],
                    content_type: Some(CONTENT_TYPE.to_owned()),
                    ..Default::default()
                };
                client.try_publish_with_properties(topic, qos_v5(qos), retain, body, properties).is_ok()
            }
            Client::V311(client) => client.try_publish(topic, qos_v311(qos), retain, body).is_ok(),
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

/// After how much silence of the broker, who must answer our pings, the connection counts as dead.
pub(super) fn silence_limit(mqtt: &config::Mqtt) -> Duration {
    keep_alive(mqtt) * 2 + Duration::from_secs(1)
}

fn keep_alive(mqtt: &config::Mqtt) -> Duration {
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
        content_type: Some(CONTENT_TYPE.to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: vec![("schema".to_owned(), will.kind.schema_name())],
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
        .set_max_packet_size(LARGEST_INCOMING_BYTES as usize, LARGEST_OUTGOING_BYTES)
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
        _ => Happening::Alive,
    }
}

fn incoming_v311(packet: &rumqttc::Incoming) -> Happening {
    match packet {
        rumqttc::Incoming::ConnAck(_) => Happening::Connected { receive_maximum: None, largest_packet: None },
        rumqttc::Incoming::PubAck(ack) => Happening::Acknowledged(ack.pkid),
        _ => Happening::Alive,
    }
}

fn outgoing(what: &Outgoing) -> Option<Happening> {
    match what {
        Outgoing::Publish(packet_id) => Some(Happening::Written(*packet_id)),
        Outgoing::Disconnect => Some(Happening::SaidGoodbye),
        // Our window is made so that this cannot be; if it is, the client would wait for an acknowledgement that may never come.
        Outgoing::AwaitAck(_) => Some(Happening::Lost(Lost::because("the client ran out of packet identifiers"))),
        // Pings that we write say nothing about the broker: only what comes in keeps a connection alive.
        _ => None,
    }
}

const NOT_AUTHORISED: &str =
    "not authorised: the broker refuses our user name, password or certificate (mqtt.username, mqtt.password)";
const TAKEN_OVER: &str = "another client connected with our client id (mqtt.client_id): every device needs its own";

fn lost_v5(error: &v5::ConnectionError) -> Lost {
    use v5::mqttbytes::v5::{ConnectReturnCode as Code, DisconnectReasonCode};
    use v5::{ConnectionError as Error, StateError};
    match error {
        Error::ConnectionRefused(
            Code::NotAuthorized | Code::BadUserNamePassword | Code::BadAuthenticationMethod | Code::Banned,
        ) => Lost::unwelcome(NOT_AUTHORISED),
        Error::ConnectionRefused(Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion) => {
            Lost::unwelcome("the broker does not speak MQTT 5; set mqtt.version = \"3.1.1\"")
        }
        Error::ConnectionRefused(code) => Lost::because(format!("the broker refuses us: {code:?}")),
        Error::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            if *reason_code == DisconnectReasonCode::SessionTakenOver {
                return Lost::unwelcome(TAKEN_OVER);
            }
            let said = reason_string.as_deref().map(|s| format!(" ({s})")).unwrap_or_default();
            Lost::because(format!("the broker ended the connection: {reason_code:?}{said}"))
        }
        Error::MqttState(StateError::ConnectionAborted) => Lost::because("the broker closed the connection"),
        Error::MqttState(StateError::AwaitPingResp) => Lost::because("the broker does not answer"),
        Error::MqttState(StateError::Io(e)) | Error::Io(e) => Lost::because(io_words(e)),
        Error::MqttState(StateError::Deserialization(v5::mqttbytes::Error::Io(e))) => Lost::because(io_words(e)),
        Error::Tls(v5::TlsError::Io(e)) => Lost::because(io_words(e)),
        Error::Timeout(_) => Lost::because(timeout_words()),
        e => Lost::because(e.to_string()),
    }
}

fn lost_v311(error: &rumqttc::ConnectionError) -> Lost {
    use rumqttc::{ConnectReturnCode as Code, ConnectionError as Error, StateError};
    match error {
        Error::ConnectionRefused(Code::NotAuthorized | Code::BadUserNamePassword) => Lost::unwelcome(NOT_AUTHORISED),
        Error::ConnectionRefused(Code::RefusedProtocolVersion) => {
            Lost::unwelcome("the broker does not speak MQTT 3.1.1; set mqtt.version = \"5\"")
        }
        Error::ConnectionRefused(code) => Lost::because(format!("the broker refuses us: {code:?}")),
        Error::MqttState(StateError::ConnectionAborted) => Lost::because("the broker closed the connection"),
        Error::MqttState(StateError::AwaitPingResp) => Lost::because("the broker does not answer"),
        Error::MqttState(StateError::Io(e)) | Error::Io(e) => Lost::because(io_words(e)),
        Error::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::Io(e))) => Lost::because(io_words(e)),
        Error::Tls(rumqttc::TlsError::Io(e)) => Lost::because(io_words(e)),
        Error::NetworkTimeout | Error::FlushTimeout => Lost::because(timeout_words()),
        e => Lost::because(e.to_string()),
    }
}

fn io_words(error: &std::io::Error) -> String {
    tls::explain(error).unwrap_or_else(|| error.to_string())
}

fn timeout_words() -> String {
    format!("no answer within {CONNECT_WITHIN_SECS} s")
}
