//! Static libraries.

use std::io::Cursor;

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};

use crate::{Error, Result};

/// A static library of objects, each with its file name: with an index of their symbols, and without times, users or modes, so
/// that the same objects give the same bytes.
///
/// # Errors
/// Only bugs of ours: an object that is none.
pub fn archive(objects: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let members: Vec<NewArchiveMember<'_>> = objects
        .iter()
        .map(|(name, bytes)| NewArchiveMember::new(bytes.as_slice(), &DEFAULT_OBJECT_READER, name.clone()))
        .collect();
    let mut file = Cursor::new(Vec::new());
    write_archive_to_stream(&mut file, &members, ArchiveKind::Gnu, false, None).map_err(Error::bug)?;
    Ok(file.into_inner())
}
