//! A picture of an event, as it stands on the wire: the JPEG file alone. The other messages stand in `payload.rs`.

use super::{Kind, Message, Qos, topics};

/// Writes a picture of a camera. One that is retained is a state, of which the broker is to have the newest: that is said with every
/// connection until it is acknowledged; without a body it takes back the one that the broker has. Any other one goes to those who listen
/// now, or to nobody.
pub fn render_picture(camera: &str, jpeg: Vec<u8>, retain: bool, device: &str, prefix: &str) -> Message {
    Message {
        topic: topics::snapshot(prefix, device, camera),
        body: jpeg,
        retain,
        qos: if retain { Qos::AtLeastOnce } else { Qos::AtMostOnce },
        kind: Kind::Picture,
        expires_secs: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_jpeg_on_its_camera_s_topic_and_only_a_retained_one_must_arrive() {
        let live = render_picture("yard", vec![0xFF, 0xD8], false, "gate", "peregrine");
        assert_eq!((live.topic.as_str(), &live.body[..]), ("peregrine/gate/camera/yard/snapshot", &[0xFF, 0xD8][..]));
        assert_eq!((live.retain, live.qos, live.kind.content_type()), (false, Qos::AtMostOnce, "image/jpeg"));
        let retained = render_picture("yard", vec![0xFF, 0xD8], true, "gate", "peregrine");
        assert_eq!((retained.retain, retained.qos), (true, Qos::AtLeastOnce));
    }
}
