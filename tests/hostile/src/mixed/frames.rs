//! Frames of HTTP/2 (RFC 9113) that no client sends, and header blocks (RFC 7541) that are none or become too large.

use super::Came::{Alive, Closed, GoAway, Reset, Status};
use super::aim::Aim;
use super::{Came, Kind, Shot, Until, Way, member, stranger};
use crate::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, headers,
};

const WHOLE: u8 = END_STREAM | END_HEADERS;

/// The end of a connection.
const ENDS: &[Came] = &[GoAway, Closed];
/// That, or the end of a stream.
const RESETS: &[Came] = &[GoAway, Closed, Reset];
/// What is too much may be taken, too.
const ANY: &[Came] = &[GoAway, Closed, Reset, Alive];

pub(super) const KINDS: &[Kind] = &[
    stranger("HTTP/2: frames of wrong sizes", 15, sizes, RESETS),
    stranger("HTTP/2: frames on wrong streams", 15, streams, RESETS),
    stranger("HTTP/2: half frames", 10, halves, RESETS),
    stranger("HTTP/2: endless header blocks", 8, continuations, ENDS),
    stranger("HTTP/2: headers that become large", 8, bombs, &[Status(431), GoAway, Closed, Reset]),
    stranger("HTTP/2: header blocks that are none", 15, blocks, &[GoAway, Closed, Reset, Status(400)]),
    stranger("HTTP/2: windows that overflow", 10, windows, ANY),
    stranger("HTTP/2: floods", 8, floods, ANY),
    stranger("HTTP/2: requests taken back at once", 8, resets, ANY),
    stranger(
        "HTTP/2: requests that are malformed",
        15,
        malformed,
        &[Status(400), Status(401), Status(404), GoAway, Closed, Reset],
    ),
    stranger("HTTP/2: bodies of other lengths", 10, bodies, &[Status(400), Status(413), Reset, GoAway, Closed]),
    stranger("HTTP/2: upgrades", 4, upgrades, &[Status(400), Status(503), Reset]),
    stranger("HTTP/2: forged sessions", 10, forged, &[Status(401)]),
    member("HTTP/2: requests taken back, with a session", 5, resets_of_a_member, ANY),
];

fn shot(until: Until, bytes: Vec<u8>) -> Shot {
    Shot { way: Way::Http2(until), bytes }
}

/// A whole request.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &headers("/healthz", ""))
}

/// Literal fields that enter no table.
fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in all {
        block.push(0);
        for text in [name, value] {
            crate::http2::length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn sizes(aim: &mut Aim<'_>) -> Shot {
    let bytes = match aim.between(0, 10) {
        0 => frame(PING, 0, 0, &[0; 7]),
        1 => frame(PING, 0, 0, &[0; 9]),
        2 => frame(SETTINGS, 0, 0, &[0; 5]),
        3 => frame(SETTINGS, 1, 0, &[0; 6]),
        4 => frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        5 => frame(RST_STREAM, 0, 1, &[0; 5]),
        6 => [get(1), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
        7 => [frame(HEADERS, END_HEADERS, 1, &headers("/healthz", "")), frame(DATA, 0, 1, &vec![0; 16_385])].concat(),
        8 => frame(GO_AWAY, 0, 0, &[0; 4]),
        // Padding that is longer than the frame.
        _ => frame(HEADERS, WHOLE | 8, 1, &[200, 0, 0, 0]),
    };
    shot(Until::Pong, bytes)
}

fn streams(aim: &mut Aim<'_>) -> Shot {
    let bytes = match aim.between(0, 12) {
        0 => frame(DATA, END_STREAM, 1, b"nothing asked"),
        1 => get(2),
        2 => get(0),
        3 => [get(5), get(3)].concat(),
        4 => frame(WINDOW_UPDATE, 0, 7, &[0, 0, 0, 1]),
        5 => frame(RST_STREAM, 0, 7, &[0; 4]),
        6 => frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        7 => frame(CONTINUATION, END_HEADERS, 1, &headers("/healthz", "")),
        8 => frame(SETTINGS, 0, 1, &[]),
        9 => frame(PING, 0, 1, &[0; 8]),
        10 => frame(DATA, 0, 0, b"x"),
        _ => [frame(HEADERS, END_STREAM, 1, &headers("/healthz", "")), get(3)].concat(),
    };
    shot(Until::Pong, bytes)
}

fn halves(aim: &mut Aim<'_>) -> Shot {
    let mut bytes = match aim.between(0, 4) {
        0 => get(1),
        1 => frame(HEADERS, 0, 1, &headers("/healthz", "")),
        2 => frame(SETTINGS, 0, 0, &[0; 60]),
        _ => aim.bytes(500),
    };
    bytes.truncate(aim.between(0, bytes.len()));
    shot(Until::End, bytes)
}

fn continuations(aim: &mut Aim<'_>) -> Shot {
    let mut bytes = frame(HEADERS, END_STREAM, 1, &headers("/healthz", ""));
    let value = "y".repeat(aim.one_of(&[0, 1, 100, 4_000]));
    let part = if aim.once_in(3) { Vec::new() } else { fields(&[("x", value.as_str())]) };
    bytes.extend(frame(CONTINUATION, 0, 1, &part).repeat(aim.between(1, 60)));
    shot(Until::Pong, bytes)
}

fn bombs(aim: &mut Aim<'_>) -> Shot {
    let mut block = headers("/healthz", "");
    // One field that enters the table, and then its index, again and again: a byte each for four thousand.
    let value = "v".repeat(4_000);
    block.push(0x40);
    for text in ["bomb", value.as_str()] {
        crate::http2::length(&mut block, text.len());
        block.extend(text.as_bytes());
    }
    block.extend(vec![0xbe; aim.between(20, 10_000)]);
    shot(Until::Answer, frame(HEADERS, WHOLE, 1, &block))
}

fn blocks(aim: &mut Aim<'_>) -> Shot {
    let block = match aim.between(0, 10) {
        // The index 0, and one that nothing has.
        0 => vec![0x80],
        1 => vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        // Numbers without an end.
        2 => vec![0xff; 40],
        3 => [vec![0x7f], vec![0x80; 30]].concat(),
        // A table larger than was agreed on.
        4 => vec![0x3f, 0xff, 0xff, 0xff, 0x07],
        // Text that is longer than the block, and Huffman's code of nothing.
        5 => vec![0x00, 0x7f, 0xff, 0x7f, b'x'],
        6 => vec![0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00],
        7 => Vec::new(),
        8 => vec![0x20; 100],
        _ => aim.bytes(200),
    };
    shot(Until::Answer, frame(HEADERS, WHOLE, 1, &block))
}

fn windows(aim: &mut Aim<'_>) -> Shot {
    const MOST: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
    let bytes = match aim.between(0, 5) {
        0 => frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        1 => frame(WINDOW_UPDATE, 0, 0, &MOST).repeat(2),
        // INITIAL_WINDOW_SIZE and MAX_FRAME_SIZE, beyond what there may be.
        2 => frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        3 => frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        _ => {
            let open = frame(HEADERS, END_HEADERS, 1, &headers("/healthz", ""));
            [open, frame(WINDOW_UPDATE, 0, 1, &MOST).repeat(2)].concat()
        }
    };
    shot(Until::Pong, bytes)
}

fn floods(aim: &mut Aim<'_>) -> Shot {
    let one = match aim.between(0, 6) {
        0 => frame(PING, 0, 0, &[7; 8]),
        1 => frame(PING, 1, 0, &[7; 8]),
        2 => frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
        3 => frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        4 => frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        // A kind that nobody knows.
        _ => frame(0xfa, 0xff, 9, &[1; 30]),
    };
    shot(Until::Pong, one.repeat(aim.between(10, 1_000)))
}

/// Requests that are taken back as soon as they are made.
fn taken_back(aim: &mut Aim<'_>, path: &str, token: &str) -> Shot {
    let block = headers(path, token);
    let mut bytes = Vec::new();
    for number in 0..u32::try_from(aim.between(5, 150)).unwrap_or(5) {
        let stream = 2 * number + 1;
        bytes.extend(frame(HEADERS, WHOLE, stream, &block));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    shot(Until::Pong, bytes)
}

fn resets(aim: &mut Aim<'_>) -> Shot {
    taken_back(aim, "/healthz", "")
}

fn resets_of_a_member(aim: &mut Aim<'_>) -> Shot {
    let token = aim.member.token.clone();
    taken_back(aim, "/user/connections", &token)
}

fn malformed(aim: &mut Aim<'_>) -> Shot {
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "http");
    const PATH: (&str, &str) = (":path", "/feed");
    const HOST: (&str, &str) = (":authority", "localhost");
    let block = match aim.between(0, 14) {
        0 => fields(&[METHOD, SCHEME, HOST]),
        1 => fields(&[METHOD, METHOD, SCHEME, PATH, HOST]),
        2 => fields(&[SCHEME, PATH, HOST]),
        3 => fields(&[METHOD, SCHEME, PATH, HOST, ("Upper", "x")]),
        4 => fields(&[METHOD, SCHEME, PATH, HOST, ("connection", "close")]),
        5 => fields(&[METHOD, SCHEME, PATH, HOST, ("transfer-encoding", "chunked")]),
        6 => fields(&[METHOD, SCHEME, PATH, HOST, ("te", "gzip")]),
        7 => fields(&[METHOD, SCHEME, PATH, HOST, (":status", "200")]),
        8 => fields(&[("x", "y"), METHOD, SCHEME, PATH, HOST]),
        9 => fields(&[METHOD, SCHEME, (":path", ""), HOST]),
        10 => fields(&[METHOD, SCHEME, (":path", "feed"), HOST]),
        11 => fields(&[METHOD, SCHEME, PATH, HOST, ("x", "a\r\nb: c")]),
        12 => fields(&[METHOD, SCHEME, PATH, HOST, ("", "nameless")]),
        _ => fields(&[(":method", "CONNECT"), HOST, (":protocol", "websocket")]),
    };
    shot(Until::Answer, frame(HEADERS, WHOLE, 1, &block))
}

fn bodies(aim: &mut Aim<'_>) -> Shot {
    let length = aim.one_of(&["0", "1", "100000", "-1", "x"]);
    let block = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/login"),
        (":authority", "localhost"),
        ("content-type", "application/json"),
        ("content-length", length),
    ]);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block);
    for _ in 0..aim.between(0, 3) {
        bytes.extend(frame(DATA, 0, 1, &aim.bytes(5_000)));
    }
    bytes.extend(frame(DATA, END_STREAM, 1, b"{\"emailId\":"));
    shot(Until::Answer, bytes)
}

/// HTTP/2 has no upgrade (RFC 9113, section 8.6), whatever the path is.
fn upgrades(aim: &mut Aim<'_>) -> Shot {
    let id = aim.word(16);
    let key: &[(&str, &str)] = &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")];
    let path = format!(
        "/socket.io/?EIO=4&transport=websocket{}",
        if aim.once_in(2) { format!("&sid={id}") } else { String::new() }
    );
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path.as_str())];
    let block = fields(&[pseudo.as_slice(), key].concat());
    shot(Until::Answer, frame(HEADERS, WHOLE, 1, &block))
}

fn forged(aim: &mut Aim<'_>) -> Shot {
    let token = ["e30", &aim.word(60), &aim.word(43)].join(".");
    let path = aim.one_of(&["/feed", "/profile/view", "/notifications", "/user/connections"]);
    shot(Until::Answer, frame(HEADERS, WHOLE, 1, &headers(path, &token)))
}
