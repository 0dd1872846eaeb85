//! Why a connection ended, in words for a person and in the two bits that decide what to do next.

use rumqttc::v5;

use super::CONNECT_WITHIN_SECS;
use crate::publish::tls;

/// Why a connection ended or was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::publish) struct Lost {
    /// In words for a log line, without credentials.
    pub(in crate::publish) why: String,
    /// Whether the broker does not want us, so that insisting does harm.
    pub(in crate::publish) unwelcome: bool,
    /// Whether the other side ended it and named no reason of its own: the reason may be what we sent last.
    pub(in crate::publish) cut: bool,
    /// Whether it brought a message that is too large for us: one that it retains, it will bring again.
    pub(in crate::publish) choked: bool,
}

impl Lost {
    pub(in crate::publish) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), unwelcome: false, cut: false, choked: false }
    }

    pub(super) fn unwelcome(why: impl Into<String>) -> Self {
        Self { unwelcome: true, ..Self::because(why) }
    }

    fn cut(why: impl Into<String>) -> Self {
        Self { cut: true, ..Self::because(why) }
    }

    fn choked(bytes: usize) -> Self {
        Self { choked: true, ..Self::because(format!("the broker brought a message of {bytes} bytes")) }
    }
}

const NOT_AUTHORISED: &str =
    "not authorised: the broker refuses our user name, password or certificate (mqtt.username, mqtt.password)";
const TAKEN_OVER: &str = "another client connected with our client id (mqtt.client_id): every device needs its own";

pub(super) fn lost_v5(error: &v5::ConnectionError) -> Lost {
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
            let why = format!("the broker ended the connection: {reason_code:?}{said}");
            if is_about_a_message(*reason_code) { Lost::cut(why) } else { Lost::because(why) }
        }
        Error::MqttState(StateError::ConnectionAborted) => Lost::cut("the broker closed the connection"),
        Error::MqttState(StateError::AwaitPingResp) => Lost::because("the broker does not answer"),
        Error::MqttState(StateError::Io(e)) | Error::Io(e) => io_lost(e),
        Error::MqttState(StateError::Deserialization(v5::mqttbytes::Error::Io(e))) => io_lost(e),
        // Mosquitto 2.0 acknowledges what is too large with a code that no acknowledgement may have, over which the client gives up.
        Error::MqttState(StateError::Deserialization(v5::mqttbytes::Error::InvalidConnectReturnCode(code))) => {
            Lost::cut(format!("the broker answered with code {code}, which is none of an answer's"))
        }
        Error::MqttState(StateError::Deserialization(v5::mqttbytes::Error::PayloadSizeLimitExceeded {
            pkt_size,
            ..
        })) => Lost::choked(*pkt_size),
        Error::Tls(v5::TlsError::Io(e)) => io_lost(e),
        Error::Timeout(_) => Lost::because(timeout_words()),
        e => Lost::because(e.to_string()),
    }
}

pub(super) fn lost_v311(error: &rumqttc::ConnectionError) -> Lost {
    use rumqttc::{ConnectReturnCode as Code, ConnectionError as Error, StateError};
    match error {
        Error::ConnectionRefused(Code::NotAuthorized | Code::BadUserNamePassword) => Lost::unwelcome(NOT_AUTHORISED),
        Error::ConnectionRefused(Code::RefusedProtocolVersion) => {
            Lost::unwelcome("the broker does not speak MQTT 3.1.1; set mqtt.version = \"5\"")
        }
        Error::ConnectionRefused(code) => Lost::because(format!("the broker refuses us: {code:?}")),
        Error::MqttState(StateError::ConnectionAborted) => Lost::cut("the broker closed the connection"),
        Error::MqttState(StateError::AwaitPingResp) => Lost::because("the broker does not answer"),
        Error::MqttState(StateError::Io(e)) | Error::Io(e) => io_lost(e),
        Error::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::Io(e))) => io_lost(e),
        Error::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(bytes))) => {
            Lost::choked(*bytes)
        }
        Error::Tls(rumqttc::TlsError::Io(e)) => io_lost(e),
        Error::NetworkTimeout | Error::FlushTimeout => Lost::because(timeout_words()),
        e => Lost::because(e.to_string()),
    }
}

/// Whether the broker means something that we sent, and not its own state or another client.
const fn is_about_a_message(code: v5::mqttbytes::v5::DisconnectReasonCode) -> bool {
    use v5::mqttbytes::v5::DisconnectReasonCode as Code;
    matches!(
        code,
        Code::UnspecifiedError
            | Code::MalformedPacket
            | Code::ProtocolError
            | Code::ImplementationSpecificError
            | Code::NotAuthorized
            | Code::TopicNameInvalid
            | Code::PacketTooLarge
            | Code::PayloadFormatInvalid
            | Code::RetainNotSupported
    )
}

fn io_lost(error: &std::io::Error) -> Lost {
    use std::io::ErrorKind as Kind;
    match tls::explain(error) {
        Some(why) => Lost::because(why),
        None if matches!(
            error.kind(),
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof
        ) =>
        {
            Lost::cut(error.to_string())
        }
        None => Lost::because(error.to_string()),
    }
}

fn timeout_words() -> String {
    format!("no answer within {CONNECT_WITHIN_SECS} s")
}
