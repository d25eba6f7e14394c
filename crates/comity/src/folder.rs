//! Where the nodes of the demo and the bench keep their data. Not a node's own data directory: `data_dir.rs`
//! finds that.

use std::{fs, path::PathBuf};

use crate::error::CliError;

/// A folder for the data of nodes that this program starts.
pub(crate) enum Folder {
    /// It stays.
    Kept(PathBuf),
    /// It is gone afterwards.
    Passing(tempfile::TempDir),
}

impl Folder {
    /// Makes a folder that stays. It has to be empty or new.
    pub(crate) fn keep(path: PathBuf) -> Result<Self, CliError> {
        let made = fs::create_dir_all(&path).and_then(|()| fs::read_dir(&path));
        match made.map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(Self::Kept(path)),
            Ok(false) => Err(CliError::usage("folder", format!("{} is not empty", path.display()))),
            Err(error) => {
                let what = format!("{} cannot be used", path.display());
                Err(CliError::config("folder", what).why(error))
            }
        }
    }

    /// Makes a folder that is gone afterwards.
    pub(crate) fn pass() -> Result<Self, CliError> {
        let made = tempfile::Builder::new().prefix("comity-").tempdir();
        made.map(Self::Passing).map_err(|error| {
            CliError::config("folder", "No temporary folder can be made").why(error)
        })
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(folder) => folder.path(),
        }
    }
}
