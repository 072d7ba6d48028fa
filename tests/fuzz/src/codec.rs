//! What was stored and is read again: events of any content as any type, snapshots that are not what they say, and the
//! checksum of a record, which must tell any two records apart that differ in a bit.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use millpond::decode;
use millpond_actors::storage::Data;
use millpond_actors::storage::checksum::{Kind, record};
use serde::{Deserialize, Serialize};

/// A type with something of everything.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Odd {
    Nothing,
    One(u64),
    Two(i8, String),
    Many { list: Vec<Odd>, map: BTreeMap<String, f64>, maybe: Option<Box<Odd>>, bytes: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
struct Record<'a> {
    name: &'a str,
    sequence: u64,
    record_type: &'a str,
    format: u8,
    schema: u32,
    data: &'a [u8],
    bit: usize,
}

/// No list of things without content, such as `Vec<()>`: bincode counts to whatever length such a list is said to have,
/// and nothing that it reads on the way could stop it. That is one of the reasons why it is given only bytes of ours,
/// behind a checksum.
pub(crate) fn feed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    for data in [Data::Bincode(bytes.to_vec()), Data::Json(text.clone())] {
        let _ = decode::value::<Odd>(&data);
        let _ = decode::value::<Vec<u64>>(&data);
        let _ = decode::value::<BTreeMap<String, String>>(&data);
        let _ = decode::value::<(String, Option<f64>, char)>(&data);
    }
    let (event_type, content) = text.split_once('\n').unwrap_or(("One", &text));
    let _ = decode::event::<Odd>(event_type, &Data::Json(content.to_owned()));
    if let Ok(of) = Record::arbitrary(&mut Unstructured::new(bytes)) {
        check(&of);
    }
}

/// A flipped bit of the data is always seen; so are a letter that went from the name to the type, and another number.
fn check(of: &Record<'_>) {
    let Record { name, sequence, record_type, format, schema, data, bit } = *of;
    let sum = |name: &str, sequence, record_type: &str, data: &[u8]| {
        record(Kind::Event, name, sequence, record_type, format, schema, data)
    };
    let whole = sum(name, sequence, record_type, data);
    assert_eq!(whole, sum(name, sequence, record_type, data), "the same record, another sum");
    let mut flipped = data.to_vec();
    if let Some(byte) = bit.checked_rem(data.len() * 8).and_then(|bit| flipped.get_mut(bit / 8)) {
        *byte ^= 1 << (bit % 8);
        assert_ne!(whole, sum(name, sequence, record_type, &flipped), "a flipped bit was not seen");
    }
    assert_ne!(whole, sum(name, sequence ^ 1, record_type, data), "another number was not seen");
}
