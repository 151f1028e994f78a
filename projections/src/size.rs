//! How much of a view's folder is data: for `regflow bench`.

use std::path::Path;

use crate::error::ViewError;
use crate::store::Store;

/// Memory for reading it, in bytes.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Behind all keys.
const END: u8 = 0xff;

/// Bytes of all keys and values of the view in `dir`, which nobody may have open. Blocks.
///
/// # Errors
/// [`ViewError::InUse`] when a process has it; [`ViewError`] when it cannot be read.
pub fn live_bytes(dir: &Path) -> Result<u64, ViewError> {
    let (store, mut bytes) = (Store::open(dir, CACHE_BYTES)?, 0);
    store.each(Vec::new()..vec![END], |key, value| {
        bytes += key.len() as u64 + value.len() as u64;
        Ok(())
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writes;

    #[test]
    fn keys_and_values_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), CACHE_BYTES).expect("a store");
        let mut writes = Writes::default();
        writes.put(b"c", b"123");
        writes.put(b"row", b"4567");
        store.write(writes).expect("written");
        store.flush().expect("flushed");
        drop(store);
        assert_eq!(live_bytes(folder.path()).expect("bytes"), 11);
    }
}
