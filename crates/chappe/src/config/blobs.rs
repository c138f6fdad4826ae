//! Where `chappe serve` keeps files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use chappe_telegram::Blobs;

/// Name of the folder in a data directory.
const FOLDER: &str = "blobs";

/// What the environment may say of a bucket; the settings of the file go before it.
const ENVIRONMENT: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ALLOW_HTTP",
];

/// A folder or a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlobsConfig {
    pub(crate) place: Option<String>,
    /// Of a bucket.
    pub(crate) settings: BTreeMap<String, String>,
}

impl BlobsConfig {
    pub(crate) fn open(&self, data: &Path) -> Result<Blobs> {
        match self.place.as_deref() {
            None => Ok(Blobs::folder(data.join(FOLDER))?),
            Some(url) if url.starts_with("s3://") => {
                let said = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
                let settings = ENVIRONMENT.iter().filter_map(|name| said(name));
                Ok(Blobs::s3(url, settings.chain(self.settings.clone()))?)
            }
            Some(folder) => Ok(Blobs::folder(folder)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_a_folder_or_a_bucket() {
        let data = tempfile::tempdir().unwrap();
        let open = |place: &str| {
            let place = Some(place.to_owned());
            BlobsConfig { place, ..BlobsConfig::default() }.open(data.path())
        };
        BlobsConfig::default().open(data.path()).unwrap();
        assert!(data.path().join(FOLDER).is_dir());
        let elsewhere = data.path().join("elsewhere");
        open(elsewhere.to_str().unwrap()).unwrap();
        assert!(elsewhere.is_dir());
        open("s3://bucket/prefix").unwrap();
        let error = open("s3:///prefix").unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix"), "{error}");
        let settings = BTreeMap::from([("colour".to_owned(), "blue".to_owned())]);
        let odd = BlobsConfig { place: Some("s3://bucket".to_owned()), settings };
        assert!(odd.open(data.path()).unwrap_err().to_string().contains("colour"));
    }
}
