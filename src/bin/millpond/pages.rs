//! What is listed by name, and asked for so many at a time.

use crate::failure::Done;

/// All of it. A page is what stands behind a name, or at the beginning, and full unless it is the last.
pub(crate) fn all<T>(
    full: u32,
    name: impl Fn(&T) -> &str,
    page: impl Fn(Option<&str>) -> millpond::Result<Vec<T>>,
) -> Done<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let found = page(all.last().map(&name))?;
        let last = found.len() < full as usize;
        all.extend(found);
        if last {
            return Ok(all);
        }
    }
}
