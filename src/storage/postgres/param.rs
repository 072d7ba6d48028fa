//! Values as they go to the server and come from there.

use std::borrow::Cow;
use std::error::Error as StdError;

use millpond_actors::error::Result;
use millpond_actors::storage::{Data, Origin};
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::error::odd;

/// A parameter of a statement: a value, or a column of them.
#[derive(Clone, Debug)]
pub(super) enum Param<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(Blob<'a>),
    Uuid(Uuid),
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<Cow<'a, str>>>),
    Blobs(Vec<Option<Blob<'a>>>),
    Uuids(Vec<Option<Uuid>>),
}

/// Bytes, one's own or not.
#[derive(Clone, Debug)]
pub(super) struct Blob<'a>(pub(super) Cow<'a, [u8]>);

type Written = std::result::Result<IsNull, Box<dyn StdError + Sync + Send>>;

impl ToSql for Blob<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        self.0.as_ref().to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&[u8] as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        match self {
            Param::Int(value) => value.to_sql_checked(kind, out),
            Param::Text(value) => value.to_sql_checked(kind, out),
            Param::Bytes(value) => value.to_sql_checked(kind, out),
            Param::Uuid(value) => value.to_sql_checked(kind, out),
            Param::Ints(values) => values.to_sql_checked(kind, out),
            Param::Texts(values) => values.to_sql_checked(kind, out),
            Param::Blobs(values) => values.to_sql_checked(kind, out),
            Param::Uuids(values) => values.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> Param<'a> {
    /// A number of ours, which ends where the server's do.
    pub(super) fn number(number: u64) -> Param<'a> {
        Param::Int(signed(number))
    }

    pub(super) fn text(text: &str) -> Param<'a> {
        Param::Text(Cow::Owned(text.to_owned()))
    }

    /// The type of the value, or of each of the values.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Param::Int(_) | Param::Ints(_) => "bigint",
            Param::Text(_) | Param::Texts(_) => "text",
            Param::Bytes(_) | Param::Blobs(_) => "bytea",
            Param::Uuid(_) | Param::Uuids(_) => "uuid",
        }
    }

    /// The same as the server's own.
    pub(super) fn of(&self) -> Type {
        match self {
            Param::Int(_) => Type::INT8,
            Param::Text(_) => Type::TEXT,
            Param::Bytes(_) => Type::BYTEA,
            Param::Uuid(_) => Type::UUID,
            Param::Ints(_) => Type::INT8_ARRAY,
            Param::Texts(_) => Type::TEXT_ARRAY,
            Param::Blobs(_) => Type::BYTEA_ARRAY,
            Param::Uuids(_) => Type::UUID_ARRAY,
        }
    }

    /// A column that has this value in it.
    pub(super) fn column(self) -> Param<'a> {
        match self {
            Param::Int(value) => Param::Ints(vec![Some(value)]),
            Param::Text(value) => Param::Texts(vec![Some(value)]),
            Param::Bytes(value) => Param::Blobs(vec![Some(value)]),
            Param::Uuid(value) => Param::Uuids(vec![Some(value)]),
            column => column,
        }
    }

    /// One more value in a column.
    pub(super) fn push(&mut self, value: Param<'a>) {
        match (self, value) {
            (Param::Ints(values), Param::Int(value)) => values.push(Some(value)),
            (Param::Texts(values), Param::Text(value)) => values.push(Some(value)),
            (Param::Blobs(values), Param::Bytes(value)) => values.push(Some(value)),
            (Param::Uuids(values), Param::Uuid(value)) => values.push(Some(value)),
            _ => {}
        }
    }
}

/// A number as the server has it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Rows that are to be written, column by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    columns: Vec<Param<'a>>,
    at: usize,
}

impl<'a> Columns<'a> {
    /// A row begins.
    pub(super) fn row(&mut self) -> &mut Columns<'a> {
        self.at = 0;
        self
    }

    fn column(&mut self, empty: impl FnOnce() -> Param<'a>) -> Option<&mut Param<'a>> {
        if self.at == self.columns.len() {
            self.columns.push(empty());
        }
        self.at += 1;
        self.columns.get_mut(self.at - 1)
    }

    pub(super) fn maybe(&mut self, value: Option<i64>) -> &mut Columns<'a> {
        if let Some(Param::Ints(values)) = self.column(|| Param::Ints(Vec::new())) {
            values.push(value);
        }
        self
    }

    pub(super) fn int(&mut self, value: i64) -> &mut Columns<'a> {
        self.maybe(Some(value))
    }

    pub(super) fn number(&mut self, value: u64) -> &mut Columns<'a> {
        self.maybe(Some(signed(value)))
    }

    pub(super) fn flag(&mut self, value: bool) -> &mut Columns<'a> {
        self.maybe(Some(value.into()))
    }

    pub(super) fn maybe_text(&mut self, value: Option<&'a str>) -> &mut Columns<'a> {
        if let Some(Param::Texts(values)) = self.column(|| Param::Texts(Vec::new())) {
            // The server keeps no text with such a character in it. Where texts come from outside and are kept as they are, they
            // have none: names and keys are checked, and JSON writes it otherwise.
            let clean = |text: &'a str| match text.contains('\0') {
                true => Cow::Owned(text.replace('\0', "\u{fffd}")),
                false => Cow::Borrowed(text),
            };
            values.push(value.map(clean));
        }
        self
    }

    pub(super) fn text(&mut self, value: &'a str) -> &mut Columns<'a> {
        self.maybe_text(Some(value))
    }

    pub(super) fn owned_text(&mut self, value: String) -> &mut Columns<'a> {
        if let Some(Param::Texts(values)) = self.column(|| Param::Texts(Vec::new())) {
            values.push(Some(Cow::Owned(value)));
        }
        self
    }

    pub(super) fn maybe_bytes(&mut self, value: Option<Cow<'a, [u8]>>) -> &mut Columns<'a> {
        if let Some(Param::Blobs(values)) = self.column(|| Param::Blobs(Vec::new())) {
            values.push(value.map(Blob));
        }
        self
    }

    pub(super) fn bytes(&mut self, value: &'a [u8]) -> &mut Columns<'a> {
        self.maybe_bytes(Some(Cow::Borrowed(value)))
    }

    pub(super) fn maybe_uuid(&mut self, value: Option<Uuid>) -> &mut Columns<'a> {
        if let Some(Param::Uuids(values)) = self.column(|| Param::Uuids(Vec::new())) {
            values.push(value);
        }
        self
    }

    pub(super) fn uuid(&mut self, value: Uuid) -> &mut Columns<'a> {
        self.maybe_uuid(Some(value))
    }

    /// Two columns: JSON is a text, whatever else there is are bytes.
    pub(super) fn data(&mut self, data: &'a Data) -> &mut Columns<'a> {
        match data {
            Data::Json(text) => self.text(text).maybe_bytes(None),
            Data::Bincode(bytes) | Data::Sealed(bytes) => self.maybe_text(None).bytes(bytes),
        }
    }

    /// Four columns.
    pub(super) fn origin(&mut self, origin: Option<&'a Origin>) -> &mut Columns<'a> {
        self.maybe_uuid(origin.and_then(|origin| origin.correlation))
            .maybe_uuid(origin.and_then(|origin| origin.causation))
            .maybe_text(origin.and_then(|origin| origin.actor.as_deref()))
            .maybe_text(origin.and_then(|origin| origin.tenant.as_deref()))
    }

    /// The columns, as parameters.
    pub(super) fn params(self) -> Vec<Param<'a>> {
        self.columns
    }
}

/// A row that came, read column by column.
pub(super) struct Reading<'a> {
    row: &'a Row,
    at: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn of(row: &'a Row) -> Reading<'a> {
        Reading { row, at: 0 }
    }

    /// From a column on.
    pub(super) fn at(row: &'a Row, at: usize) -> Reading<'a> {
        Reading { row, at }
    }

    /// The next column.
    pub(super) fn next<T: FromSql<'a>>(&mut self) -> Result<T> {
        self.at += 1;
        self.row.try_get(self.at - 1).map_err(|error| odd(&error.to_string()))
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        self.next::<i64>().and_then(number)
    }

    pub(super) fn maybe(&mut self) -> Result<Option<u64>> {
        self.next::<Option<i64>>()?.map(number).transpose()
    }

    pub(super) fn small(&mut self) -> Result<u32> {
        let value = self.next::<i64>()?;
        u32::try_from(value).map_err(|_| odd(&format!("{value} is out of range")))
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        self.next::<i64>().map(|value| value != 0)
    }

    /// Two columns, of this format.
    pub(super) fn data(&mut self, format: u32) -> Result<Data> {
        match (format, self.next::<Option<String>>()?, self.next::<Option<Vec<u8>>>()?) {
            (1, Some(text), None) => Ok(Data::Json(text)),
            (2, None, Some(bytes)) => Ok(Data::Bincode(bytes)),
            (3, None, Some(bytes)) => Ok(Data::Sealed(bytes)),
            _ => Err(odd("its data is not of its format")),
        }
    }

    /// Four columns.
    pub(super) fn origin(&mut self) -> Result<Option<Box<Origin>>> {
        let (correlation, causation) = (self.next()?, self.next()?);
        let (actor, tenant) = (self.next()?, self.next()?);
        Ok(Origin { correlation, causation, actor, tenant }.kept())
    }
}

fn number(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| odd(&format!("{value} is out of range")))
}
