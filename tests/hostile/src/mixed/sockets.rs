//! WebSocket frames (RFC 6455), Engine.IO packets and Socket.IO packets that no client sends, and the product's events
//! with payloads of every type.

use super::Came::{Alive, Closed, Done, Refused, Status};
use super::aim::Aim;
use super::{Came, Kind, Shot, Until, Way, member, stranger};
use crate::websocket::{BINARY, CLOSE, FINAL, PING, TEXT, frame, header};

/// Strangers may have too many sessions; then they are told to come again. So may a member.
const TAKEN: &[Came] = &[Alive, Closed, Status(503), Status(429)];
const ENDS: &[Came] = &[Closed, Status(503), Status(429)];
const POLLED: &[Came] = &[Status(200), Status(400), Status(413), Status(429), Status(503)];

pub(super) const KINDS: &[Kind] = &[
    stranger("WebSocket: frames that are none", 12, bad_frames, ENDS),
    stranger("WebSocket: closes of every form", 6, closes, ENDS),
    stranger("WebSocket: messages that are too large", 4, large_messages, ENDS),
    stranger("WebSocket: fragments without an end", 8, fragments, TAKEN),
    stranger("WebSocket: floods of pings", 6, pings, TAKEN),
    stranger("Engine.IO: packets of every type", 15, packets, TAKEN),
    stranger("Engine.IO: packets of every type, polling", 15, polled_packets, POLLED),
    stranger("Socket.IO: auth of every form", 15, auth, &[Refused, Status(503)]),
    member("WebSocket: frames that are none, with a session", 6, bad_frames_of_a_member, ENDS),
    member("Engine.IO: packets of every type, with a session", 6, packets_of_a_member, TAKEN),
    member("Engine.IO: packets, polling with a session", 6, polled_packets_of_a_member, POLLED),
    member("Socket.IO: packets of every form", 15, socket_packets, TAKEN),
    member("Socket.IO: events with payloads of every type", 60, events, &[Refused]),
    member("Socket.IO: events that no handler has", 10, unknown_events, &[Refused]),
    member("Socket.IO: events about others", 25, events_about_others, &[Refused, Done]),
];

fn text(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text.as_bytes())
}

/// A frame that ends a connection.
fn bad_frame(aim: &mut Aim<'_>) -> Vec<u8> {
    match aim.between(0, 10) {
        // Without a mask.
        0 => b"\x81\x05hello".to_vec(),
        1 => frame(FINAL | 0x40 | TEXT, b"compressed?"),
        2 => frame(FINAL | 0x10 | TEXT, b"reserved"),
        3 => frame(FINAL | aim.one_of(&[3_u8, 5, 7, 11, 15]), b"no such kind"),
        4 => frame(FINAL | PING, &[b'p'; 126]),
        5 => frame(PING, b"a part of a ping"),
        6 => frame(FINAL, b"goes on with nothing"),
        7 => frame(FINAL | TEXT, b"4\xff\xfe\xed\xa0\x80"),
        // More than anybody has, and a second message inside of a first one.
        8 => [header(FINAL | TEXT, u64::MAX >> aim.between(1, 20), true), vec![0; 4]].concat(),
        _ => [frame(TEXT, b"first"), frame(TEXT, b"second")].concat(),
    }
}

fn bad_frames(aim: &mut Aim<'_>) -> Shot {
    Shot { way: Way::Frames { session: false, until: Until::End }, bytes: bad_frame(aim) }
}

fn bad_frames_of_a_member(aim: &mut Aim<'_>) -> Shot {
    Shot { way: Way::Frames { session: true, until: Until::End }, bytes: bad_frame(aim) }
}

/// Frames of a stranger, and a ping behind them.
fn frames(bytes: Vec<u8>) -> Shot {
    Shot { way: Way::Frames { session: false, until: Until::Pong }, bytes }
}

fn closes(aim: &mut Aim<'_>) -> Shot {
    let payload: &[u8] = aim.one_of(&[
        b"".as_slice(),
        b"\x03",
        b"\x00\x00",
        b"\x03\xe7",
        b"\x03\xed",
        b"\x03\xee",
        b"\x13\x88",
        b"\xff\xff",
        b"\x03\xe8\xff\xfe",
        b"\x03\xe8bye",
    ]);
    frames(frame(FINAL | CLOSE, payload))
}

fn large_messages(aim: &mut Aim<'_>) -> Shot {
    let filling = vec![b'4'; aim.between(100_001, 250_000)];
    let kind = aim.one_of(&[TEXT, BINARY]);
    if aim.once_in(2) {
        return frames(frame(FINAL | kind, &filling));
    }
    let mut bytes = frame(kind, b"4");
    for part in filling.chunks(10_000) {
        bytes.extend(frame(0, part));
    }
    frames(bytes)
}

fn fragments(aim: &mut Aim<'_>) -> Shot {
    let kind = aim.one_of(&[TEXT, BINARY]);
    let part = vec![b'4'; aim.one_of(&[0, 1, 100])];
    let mut bytes = frame(kind, b"4");
    bytes.extend(frame(0, &part).repeat(aim.between(1, 900)));
    frames(bytes)
}

fn pings(aim: &mut Aim<'_>) -> Shot {
    let one = frame(FINAL | PING, &aim.bytes(125));
    frames(one.repeat(aim.between(1, 500)))
}

/// A packet of Engine.IO, and inside of a message one of Socket.IO before its session is connected.
fn packet(aim: &mut Aim<'_>) -> String {
    match aim.between(0, 14) {
        0 => aim.one_of(&["", "0", "1", "2", "3", "4", "5", "6", "7", "b", "é", "\0", "-1", "99"]).to_owned(),
        1 => aim.one_of(&["0{\"sid\":\"x\"}", "2probe", "3probe", "5probe", "6x", "1x"]).to_owned(),
        2 => format!("b{}", aim.one_of(&["!!!", "AAAA", "A", "====", "é"])),
        3 => format!("4{}", aim.between(0, 10)),
        4 => "40/admin,".to_owned(),
        5 => format!("40/{},{{}}", aim.word(2_000)),
        6 => "40{\"token\":".to_owned(),
        7 => "41".to_owned(),
        8 => "42[\"private-message\",{}]".to_owned(),
        9 => "430[]".to_owned(),
        10 => "44{\"message\":\"no\"}".to_owned(),
        11 => "451-[\"x\",{\"_placeholder\":true,\"num\":0}]".to_owned(),
        12 => format!("45{}-[\"x\"]", aim.one_of(&["0", "-1", "9999999999999999999999", "1000000", ""])),
        _ => format!("4{}", aim.word(3_000)),
    }
}

fn packets(aim: &mut Aim<'_>) -> Shot {
    let packet = packet(aim);
    frames(text(&packet))
}

fn packets_of_a_member(aim: &mut Aim<'_>) -> Shot {
    let packet = packet(aim);
    Shot { way: Way::Frames { session: true, until: Until::Pong }, bytes: text(&packet) }
}

/// Packets as a polling client sends them together.
fn polled(aim: &mut Aim<'_>) -> Vec<u8> {
    let mut all: Vec<String> = (0..aim.between(1, 20)).map(|_| packet(aim)).collect();
    match aim.between(0, 4) {
        0 => all.push("\u{1e}\u{1e}\u{1e}".to_owned()),
        1 => all.push("4".repeat(aim.between(1, 150_000))),
        2 => return aim.bytes(5_000),
        _ => {}
    }
    all.join("\u{1e}").into_bytes()
}

fn polled_packets(aim: &mut Aim<'_>) -> Shot {
    Shot { way: Way::Polling { session: false }, bytes: polled(aim) }
}

fn polled_packets_of_a_member(aim: &mut Aim<'_>) -> Shot {
    Shot { way: Way::Polling { session: true }, bytes: polled(aim) }
}

fn auth(aim: &mut Aim<'_>) -> Shot {
    let bytes = match aim.between(0, 8) {
        0 => String::new(),
        1 => "{}".to_owned(),
        2 => format!("{{\"token\":\"{}\"}}", aim.word(100)),
        3 => format!("{{\"token\":{}}}", value(aim)),
        4 => value(aim),
        5 => format!("{{\"token\":\"{}\"}}", aim.word(50_000)),
        6 => "{\"token\":\"\\ud83d\"}".to_owned(),
        _ => format!("{{\"userId\":\"{}\"}}", aim.odd_id()),
    };
    Shot { way: Way::Auth, bytes: bytes.into_bytes() }
}

/// A JSON value of any type, none of which any event takes.
fn value(aim: &mut Aim<'_>) -> String {
    match aim.between(0, 14) {
        0 => "null".to_owned(),
        1 => aim.one_of(&["true", "false"]).to_owned(),
        2 => aim.one_of(&["0", "-1", "1e308", "9223372036854775808", "0.1"]).to_owned(),
        3 => aim.one_of(&["\"\"", "\"me\"", "\"\\u0000\"", "\"\\ud83d\"", "\"000000000000000000000000\""]).to_owned(),
        4 => "[]".to_owned(),
        5 => "{}".to_owned(),
        6 => format!("{}{}", "[".repeat(30), "]".repeat(30)),
        7 => format!("{}1{}", "{\"toUserId\":".repeat(60), "}".repeat(60)),
        8 => "{\"toUserId\":{\"$ne\":null},\"userId\":{\"$ne\":null},\"_id\":{\"$ne\":null}}".to_owned(),
        9 => format!("{{\"toUserId\":\"{}\"}}", aim.word(24).replace(|c: char| c.is_ascii_digit(), "z")),
        10 => format!("\"{}\"", "x".repeat(aim.between(1, 60_000))),
        11 => format!("{{\"message\":\"{}\"}}", "x".repeat(aim.between(1, 60_000))),
        12 => "{\"_placeholder\":true,\"num\":0}".to_owned(),
        _ => "[{\"toUserId\":1},2,\"3\"]".to_owned(),
    }
}

fn event(name: &str, value: &str) -> Shot {
    Shot { way: Way::Event, bytes: format!("[\"{name}\",{value}]").into_bytes() }
}

fn events(aim: &mut Aim<'_>) -> Shot {
    let value = value(aim);
    let names = ["register", "private-message", "message:delivered", "message:read", "typing", "presence:query"];
    event(aim.one_of(&names), &value)
}

fn unknown_events(aim: &mut Aim<'_>) -> Shot {
    let name = match aim.between(0, 5) {
        0 => String::new(),
        1 => aim.one_of(&["connect", "disconnect", "error", "disconnecting", "newListener", "__proto__"]).to_owned(),
        2 => "Private-Message".to_owned(),
        3 => "\u{202e}李".to_owned(),
        _ => aim.word(3_000),
    };
    event(&name, &value(aim))
}

fn events_about_others(aim: &mut Aim<'_>) -> Shot {
    let id = aim.odd_id();
    match aim.between(0, 7) {
        0 => event("register", &format!("\"{id}\"")),
        1 => event(
            "private-message",
            &format!("{{\"toUserId\":\"{id}\",\"message\":\"hello\",\"fromUserId\":\"{id}\"}}"),
        ),
        2 => event("message:delivered", &format!("{{\"_id\":\"{id}\"}}")),
        3 => event("message:read", &format!("{{\"_id\":\"{id}\"}}")),
        4 => event("typing", &format!("{{\"toUserId\":\"{id}\"}}")),
        // To oneself.
        5 => {
            let own = &aim.member.id;
            event("private-message", &format!("{{\"toUserId\":\"{own}\",\"message\":\"hello\"}}"))
        }
        _ => event("presence:query", &format!("{{\"userId\":\"{id}\"}}")),
    }
}

/// Packets of a session that is connected.
fn socket_packets(aim: &mut Aim<'_>) -> Shot {
    let packet = match aim.between(0, 15) {
        0 => {
            aim.one_of(&["42", "42[]", "42{}", "42[1]", "42[null,{}]", "42[\"x\"", "42\"x\"", "42[[\"x\"]]"]).to_owned()
        }
        1 => "42/admin,[\"private-message\",{}]".to_owned(),
        2 => "42/,[\"typing\",{}]".to_owned(),
        3 => "42-1[\"typing\",{}]".to_owned(),
        4 => "4299999999999999999999[\"typing\",{}]".to_owned(),
        5 => format!("43{}[{{\"ok\":true}}]", aim.between(0, 1_000)),
        6 => "43[]".to_owned(),
        7 => "41".to_owned(),
        8 => "41/admin,".to_owned(),
        // A second time.
        9 => format!("40{{\"token\":\"{}\"}}", aim.member.token),
        10 => format!(
            "45{}-[\"typing\",{{\"_placeholder\":true,\"num\":0}}]",
            aim.one_of(&["0", "1", "2", "10", "99999"])
        ),
        11 => "461-1[{\"_placeholder\":true,\"num\":7}]".to_owned(),
        12 => format!("42[\"typing\",{}]", vec!["{}"; aim.between(2, 5_000)].join(",")),
        // Names that are not as they are written.
        13 => aim.one_of(&["421[\"typing\\u0000\",{}]", "421[\"\\u001b[2J\"]", "421[\"\\ud83d\"]"]).to_owned(),
        _ => format!("42[\"{}\"]", aim.word(50_000)),
    };
    let mut bytes = text(&packet);
    if aim.once_in(3) {
        bytes.extend(frame(FINAL | BINARY, &aim.bytes(2_000)));
    }
    Shot { way: Way::Packets, bytes }
}
