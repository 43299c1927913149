//! What redb's errors mean to a caller.

use std::io;

use redb::{CommitError, DatabaseError, SetDurabilityError, StorageError, TableError, TransactionError};

use crate::{ErrorKind, StoreError};

/// The file could not be opened.
pub(super) fn opening(error: DatabaseError) -> StoreError {
    const OPERATION: &str = "open";
    match error {
        DatabaseError::Storage(error) => storage(OPERATION, error),
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            let text = "another process has this data directory open; give each its own, or use Redis to share one";
            StoreError::new(ErrorKind::Misconfigured, OPERATION, text)
        }
        DatabaseError::UpgradeRequired(_) => StoreError::new(ErrorKind::Misconfigured, OPERATION, error),
        DatabaseError::RepairAborted => StoreError::new(ErrorKind::Corrupt, OPERATION, error),
        other => StoreError::new(ErrorKind::Unavailable, OPERATION, other),
    }
}

/// Reading or writing went wrong.
pub(super) fn storage(operation: &'static str, error: StorageError) -> StoreError {
    match error {
        StorageError::Corrupted(_) => StoreError::new(ErrorKind::Corrupt, operation, error),
        StorageError::Io(error) => file(operation, error),
        other => StoreError::new(ErrorKind::Unavailable, operation, other),
    }
}

/// A call to the file system went wrong.
pub(super) fn file(operation: &'static str, error: io::Error) -> StoreError {
    use io::ErrorKind as Io;
    let kind = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge | Io::ReadOnlyFilesystem => ErrorKind::Full,
        Io::InvalidData | Io::UnexpectedEof => ErrorKind::Corrupt,
        Io::PermissionDenied | Io::NotADirectory | Io::IsADirectory | Io::NotFound => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    };
    StoreError::new(kind, operation, error)
}

/// Something stored does not decode.
pub(super) fn undecodable(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, "read", format!("{what}: {error}"))
}

/// The errors of one transaction, told apart no further than their storage part.
#[derive(Debug)]
pub(super) struct Failed(pub(super) StoreError);

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self(storage("write", error))
    }
}

impl From<TableError> for Failed {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            // A table of another shape: not a file of ours.
            other => Self(StoreError::new(ErrorKind::Corrupt, "write", other)),
        }
    }
}

impl From<TransactionError> for Failed {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self(StoreError::new(ErrorKind::Unavailable, "write", other)),
        }
    }
}

impl From<CommitError> for Failed {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self(StoreError::new(ErrorKind::Unavailable, "write", other)),
        }
    }
}

impl From<SetDurabilityError> for Failed {
    fn from(error: SetDurabilityError) -> Self {
        Self(StoreError::new(ErrorKind::Unavailable, "write", error))
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Self(StoreError::new(ErrorKind::Corrupt, "write", error))
    }
}
