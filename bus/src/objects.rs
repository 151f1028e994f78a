//! Files that belong to registrations, in the server's object store or in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::object_store::{self, GetErrorKind, InfoErrorKind, PutErrorKind};
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use events::ObjectRef;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::connection::Connection;
use crate::direct::Direct;
use crate::log::Unavailable;

/// Largest file.
pub const OBJECT_BYTES_MAX: usize = 25 * 1024 * 1024;
/// The bucket of all files.
const BUCKET: &str = "OBJECTS";
/// The stream behind it.
const OBJECTS_STREAM: &str = "OBJ_OBJECTS";
/// Longest time for one file, in or out.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A store of files.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Keeps bytes under a name; an earlier file of that name is replaced.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ObjectRef, ObjectError>;

    /// The bytes under a name.
    async fn get(&self, name: &str) -> Result<Bytes, ObjectError>;

    /// Erases what is under a name; false when there was nothing.
    async fn erase(&self, name: &str) -> Result<bool, ObjectError>;
}

/// Why a file is not kept or not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// No such file.
    #[error("there is no object {0}")]
    NotFound(String),
    /// Over the limit.
    #[error("object {name} has {bytes} bytes; at most {OBJECT_BYTES_MAX} are kept")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// Not a name: empty.
    #[error("an object needs a name")]
    BadName,
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The object store on a server.
#[derive(Clone)]
pub struct NatsObjects {
    bucket: object_store::ObjectStore,
    stream: Stream<()>,
    direct: Direct,
}

impl NatsObjects {
    pub(crate) async fn open(connection: &Connection) -> Result<Self, Unavailable> {
        let bucket = connection.jetstream.get_object_store(BUCKET).await;
        let bucket = bucket.map_err(|error| Unavailable::new("open the object store", error))?;
        let stream = connection.jetstream.get_stream_no_info(OBJECTS_STREAM).await;
        let stream = stream.map_err(|error| Unavailable::new("open the object store", error))?;
        Ok(Self { bucket, stream, direct: Direct::open(connection, OBJECTS_STREAM).await? })
    }
}

#[async_trait]
impl ObjectStore for NatsObjects {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ObjectRef, ObjectError> {
        let reference = reference(name, &bytes)?;
        let mut reader = bytes.as_ref();
        let stored = tokio::time::timeout(OBJECT_TIMEOUT, self.bucket.put(name, &mut reader)).await;
        match stored.map_err(|_| too_slow("store an object"))? {
            Ok(_) => Ok(reference),
            Err(error) if error.kind() == PutErrorKind::InvalidName => Err(ObjectError::BadName),
            Err(error) => Err(Unavailable::new("store an object", error).into()),
        }
    }

    async fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let read = tokio::time::timeout(OBJECT_TIMEOUT, self.read(name)).await;
        read.map_err(|_| too_slow("read an object"))?
    }

    async fn erase(&self, name: &str) -> Result<bool, ObjectError> {
        let erased = tokio::time::timeout(OBJECT_TIMEOUT, self.erase_all(name)).await;
        erased.map_err(|_| too_slow("erase an object"))?
    }
}

impl NatsObjects {
    async fn read(&self, name: &str) -> Result<Bytes, ObjectError> {
        let mut object = match self.bucket.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Err(ObjectError::NotFound(name.to_owned())),
            Err(error) if error.kind() == GetErrorKind::InvalidName => return Err(ObjectError::BadName),
            Err(error) => return Err(Unavailable::new("read an object", error).into()),
        };
        let size = object.info.size;
        if size > OBJECT_BYTES_MAX {
            return Err(ObjectError::TooLarge { name: name.to_owned(), bytes: size });
        }
        let mut bytes = Vec::with_capacity(size);
        // the reader compares the digest that was stored with the object
        let read = object.read_to_end(&mut bytes).await;
        read.map_err(|error| Unavailable::new("read an object", error))?;
        Ok(bytes.into())
    }
}

impl NatsObjects {
    /// The client's own delete would purge the chunks, and a purge leaves their bytes in the files until the server compacts
    /// them: each message is deleted by itself, which overwrites it. The description goes last: it leads to the chunks.
    async fn erase_all(&self, name: &str) -> Result<bool, ObjectError> {
        let info = match self.bucket.info(name).await {
            Ok(info) => info,
            Err(error) if error.kind() == InfoErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind() == InfoErrorKind::InvalidName => return Err(ObjectError::BadName),
            Err(error) => return Err(Unavailable::new("find an object", error).into()),
        };
        self.erase_subject(&format!("$O.{BUCKET}.C.{}", info.nuid)).await?;
        self.erase_subject(&format!("$O.{BUCKET}.M.{}", URL_SAFE.encode(name))).await?;
        Ok(!info.deleted)
    }

    async fn erase_subject(&self, subject: &str) -> Result<(), Unavailable> {
        let mut from = 1;
        while let Some(message) = self.direct.next(subject, from).await? {
            let erased = self.stream.delete_message(message.sequence).await;
            erased.map_err(|error| Unavailable::new("erase an object", error))?;
            from = message.sequence + 1;
        }
        Ok(())
    }
}

fn too_slow(doing: &'static str) -> ObjectError {
    Unavailable::new(doing, "it took too long").into()
}

fn reference(name: &str, bytes: &Bytes) -> Result<ObjectRef, ObjectError> {
    if name.is_empty() {
        return Err(ObjectError::BadName);
    }
    if bytes.len() > OBJECT_BYTES_MAX {
        return Err(ObjectError::TooLarge { name: name.to_owned(), bytes: bytes.len() });
    }
    let sha256 = Sha256::digest(bytes).to_vec();
    Ok(ObjectRef { name: name.to_owned(), sha256, size_bytes: bytes.len() as u64 })
}

/// Files in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    files: Mutex<HashMap<String, Bytes>>,
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ObjectRef, ObjectError> {
        let reference = reference(name, &bytes)?;
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes);
        Ok(reference)
    }

    async fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(name).cloned().ok_or_else(|| ObjectError::NotFound(name.to_owned()))
    }

    async fn erase(&self, name: &str) -> Result<bool, ObjectError> {
        if name.is_empty() {
            return Err(ObjectError::BadName);
        }
        Ok(self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some())
    }
}
