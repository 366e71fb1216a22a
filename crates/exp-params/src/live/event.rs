//! Records of TensorBoard: scalars and nothing else.
//!
//! A file is a row of records: the length in 8 bytes, its checksum in 4, so many bytes, their checksum in 4; numbers have the
//! lowest byte first. A checksum is CRC-32C, turned by 15 bits, plus `0xa282ead8`. The bytes are a message `Event` of protocol
//! buffers (`tensorflow/core/util/event.proto`, `summary.proto`, `tensor.proto`), of which a few fields count:
//!
//! ```text
//! Event        2: step (varint)   5: summary
//! Summary      1: value, repeated
//! Value        1: tag (text)      2: simple_value (float)   8: tensor
//! TensorProto  1: dtype           4: content (bytes)        5: floats   6: doubles   7: ints   10: longs
//! ```

use exp_core::MetricPoint;

use super::{LiveError, dotted};

/// A record of more bytes is none.
const LARGEST: usize = 64 << 20;
/// Length and checksum.
const HEAD: usize = 12;

/// Takes the whole records from the front of `bytes` and leaves what is not whole.
pub(super) fn take(bytes: &mut Vec<u8>, points: &mut Vec<MetricPoint>) -> Result<(), LiveError> {
    let mut at = 0;
    let taken = loop {
        let rest = &bytes[at..];
        let Some(head) = rest.get(..HEAD) else { break Ok(()) };
        if masked(&head[..8]) != number(&head[8..]) {
            break Err(LiveError::Damaged);
        }
        let length = head[..8].iter().rev().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= LARGEST) else {
            break Err(LiveError::Large);
        };
        let Some(record) = rest.get(HEAD..HEAD + length + 4) else { break Ok(()) };
        let (record, check) = record.split_at(length);
        if masked(record) != number(check) {
            break Err(LiveError::Damaged);
        }
        // A message that is none has no scalars; its checksum says that it was meant so.
        let _none = event(record, points);
        at += HEAD + length + 4;
    };
    bytes.drain(..at);
    taken
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |all, byte| (all << 8) | u32::from(*byte))
}

pub(super) fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// What each byte adds to the checksum.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let (mut sum, mut bit) = (byte, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    let sum = bytes
        .iter()
        .fold(!0_u32, |sum, byte| TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8));
    !sum
}

/// A field of a message.
enum Field<'b> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'b [u8]),
    Fixed32([u8; 4]),
}

/// Takes the next field with its number from the front; `None` at the end and where there is none.
fn field<'b>(rest: &mut &'b [u8]) -> Option<(u64, Field<'b>)> {
    let key = varint(rest)?;
    let field = match key & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => Field::Fixed64(*rest.split_off(..8)?.first_chunk()?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(rest.split_off(..length)?)
        }
        5 => Field::Fixed32(*rest.split_off(..4)?.first_chunk()?),
        _ => return None,
    };
    Some((key >> 3, field))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let byte = rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn event(mut rest: &[u8], points: &mut Vec<MetricPoint>) -> Option<()> {
    let (mut step, mut summaries) = (0, Vec::new());
    while !rest.is_empty() {
        match field(&mut rest)? {
            (2, Field::Varint(value)) => step = value.cast_signed(),
            (5, Field::Bytes(bytes)) => summaries.push(bytes),
            _ => {}
        }
    }
    for mut summary in summaries {
        while !summary.is_empty() {
            if let (1, Field::Bytes(bytes)) = field(&mut summary)?
                && let Some((tag, value)) = value(bytes)
            {
                points.push(MetricPoint { name: dotted(tag), step: Some(step), value });
            }
        }
    }
    Some(())
}

/// Returns a scalar and its tag.
fn value(mut rest: &[u8]) -> Option<(&str, f64)> {
    let (mut tag, mut found) = (None, None);
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Field::Bytes(bytes)) => tag = std::str::from_utf8(bytes).ok(),
            (2, Field::Fixed32(bytes)) => found = Some(f64::from(f32::from_le_bytes(bytes))),
            (8, Field::Bytes(bytes)) => found = found.or_else(|| tensor(bytes)),
            _ => {}
        }
    }
    Some((tag.filter(|tag| !tag.is_empty())?, found?))
}

/// Returns the number of a tensor that holds one; `None` for any other.
#[expect(clippy::cast_precision_loss, reason = "a metric is shown in a few digits")]
fn tensor(mut rest: &[u8]) -> Option<f64> {
    const FLOAT: u64 = 1;
    const DOUBLE: u64 = 2;
    let (mut kind, mut content, mut numbers) = (0, None, Vec::new());
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Field::Varint(value)) => kind = value,
            (4, Field::Bytes(bytes)) if !bytes.is_empty() => content = Some(bytes),
            (5, Field::Fixed32(bytes)) => numbers.push(f64::from(f32::from_le_bytes(bytes))),
            (5, Field::Bytes(packed)) => {
                let chunks = packed.as_chunks().0.iter();
                numbers.extend(chunks.map(|bytes| f64::from(f32::from_le_bytes(*bytes))));
            }
            (6, Field::Fixed64(bytes)) => numbers.push(f64::from_le_bytes(bytes)),
            (6, Field::Bytes(packed)) => {
                numbers.extend(packed.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            (7 | 10, Field::Varint(value)) => numbers.push(value.cast_signed() as f64),
            (7 | 10, Field::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    numbers.push(varint(&mut packed)?.cast_signed() as f64);
                }
            }
            _ => {}
        }
    }
    match (content, numbers.as_slice()) {
        (None, [number]) => Some(*number),
        (Some(bytes), []) if kind == FLOAT => {
            Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?)))
        }
        (Some(bytes), []) if kind == DOUBLE => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros, and the digits that every description of a checksum has.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
