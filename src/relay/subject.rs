//! The subject of an event in NATS: what is a name here is one token there.

use millpond_actors::error::{Error, Result};
use millpond_actors::name::category;

/// Most bytes of a prefix. With the longest of names, every byte of which is escaped, a subject still fits into the 4,096
/// bytes that a server takes for a line.
const PREFIX_BYTES: usize = 256;

/// What subjects begin with.
#[derive(Clone, Debug)]
pub(super) struct Prefix(String);

impl Prefix {
    /// # Errors
    /// [`Error::InvalidArgument`] if no subject can begin so.
    pub(super) fn new(text: String) -> Result<Prefix> {
        let is_token = |token: &str| {
            !token.is_empty()
                && !token.chars().any(|c| c.is_whitespace() || c.is_control() || "*>".contains(c))
        };
        let reason = if text.len() > PREFIX_BYTES {
            format!("it is {} bytes long, the limit is {PREFIX_BYTES}", text.len())
        } else if text.starts_with('$') {
            "subjects that begin with $ belong to the server".to_owned()
        } else if !text.split('.').all(is_token) {
            "it must be words with dots between them, without spaces, * and >".to_owned()
        } else {
            return Ok(Prefix(text));
        };
        Err(Error::InvalidArgument { what: format!("the prefix {text:?}"), reason })
    }

    /// The subject of an event of this stream.
    pub(super) fn subject(&self, stream: &str) -> String {
        format!("{}.{}.{}", self.0, token(category(stream)), token(stream))
    }
}

/// A name as one token. What means something in a subject, and the percent sign itself, is written as a percent sign and the
/// two digits of each byte; an empty name is a percent sign alone. So no two names have one token.
fn token(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut token = String::with_capacity(name.len());
    for c in name.chars() {
        if ".*>%".contains(c) || c.is_whitespace() || c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| token.push_str(&format!("%{byte:02X}")));
        } else {
            token.push(c);
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What whoever reads there makes of a token.
    fn name(token: &str) -> String {
        let (mut bytes, mut rest) = (Vec::new(), token.as_bytes());
        while let [first, others @ ..] = rest {
            rest = others;
            match others {
                [a, b, others @ ..] if *first == b'%' => {
                    let digits = String::from_utf8(vec![*a, *b]).unwrap();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                    rest = others;
                }
                _ if *first == b'%' => {}
                _ => bytes.push(*first),
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_name_is_one_token_and_can_be_told_from_it(given in "([-a.*>% \u{a0}é\t]|\\PC){0,12}") {
            let token = token(&given);
            prop_assert!(!token.is_empty() && !token.contains(|c: char| ".*>".contains(c) || c.is_whitespace()));
            prop_assert_eq!(name(&token), given);
        }
    }

    #[test]
    fn a_subject_is_the_prefix_the_category_and_the_stream() {
        let prefix = Prefix::new("shop.events".into()).unwrap();
        for (stream, subject) in [
            ("order-17", "shop.events.order.order-17"),
            ("order-17-a", "shop.events.order.order-17-a"),
            ("till", "shop.events.till.till"),
            ("-", "shop.events.%.-"),
            ("a.b-> *", "shop.events.a%2Eb.a%2Eb-%3E%20%2A"),
            ("50%-é", "shop.events.50%25.50%25-é"),
        ] {
            assert_eq!(prefix.subject(stream), subject);
        }
    }

    #[test]
    fn a_prefix_that_no_subject_can_begin_with_is_refused() {
        let long = "x".repeat(257);
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "$JS.API", "a\n", &long] {
            assert!(matches!(Prefix::new(bad.into()), Err(Error::InvalidArgument { .. })), "{bad:?}");
        }
        assert!(Prefix::new("x".repeat(256)).is_ok());
    }
}
