//! A gzip stream that is small and becomes large (RFC 1951 and 1952), made without a compressor.

/// So many bytes of white space come out of each repetition.
const REPEATED: usize = 258;

/// A whole and correct stream of at least so many spaces: white space before a JSON text is JSON.
pub fn spaces(count: usize) -> Vec<u8> {
    let repetitions = count.div_ceil(REPEATED);
    let mut bits = Bits::default();
    // The last block, with the fixed codes.
    bits.push([true, true, false]);
    bits.code(0x30 + u16::from(b' '), 8);
    for _ in 0..repetitions {
        // 258 bytes that are as the one before them.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    let size = 1 + REPEATED * repetitions;
    let mut stream = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    stream.extend(bits.bytes);
    stream.extend(checksum(size).to_le_bytes());
    stream.extend(u32::try_from(size).expect("less than four gigabytes").to_le_bytes());
    stream
}

/// Bits, the first one lowest in its byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, bits: impl IntoIterator<Item = bool>) {
        for bit in bits {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(byte) = self.bytes.last_mut() {
                *byte |= u8::from(bit) << (self.count % 8);
            }
            self.count += 1;
        }
    }

    /// A code of so many bits, its highest one first.
    fn code(&mut self, code: u16, length: u32) {
        self.push((0..length).rev().map(|bit| code >> bit & 1 == 1));
    }
}

/// CRC-32 of so many spaces.
fn checksum(size: usize) -> u32 {
    let mut checksum = u32::MAX;
    for _ in 0..size {
        checksum ^= u32::from(b' ');
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ if checksum & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !checksum
}
